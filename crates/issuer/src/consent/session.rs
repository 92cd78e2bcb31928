//! What the browser keeps between the wallet's assertion and the customer's answer: who they are, sealed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mintkeep_protocol::crypto::{MacKey, same_bytes};
use mintkeep_protocol::ident::{CustomerId, RecordId};
use mintkeep_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::asking::Asking;

/// How long the wallet's word for the customer is taken, and how long a page's form may wait for its button.
pub const SESSION_LIFE: Duration = Duration::from_mins(10);

/// Seals sessions and tickets.
pub struct Seals {
    session: MacKey,
    ticket: MacKey,
    revoke: MacKey,
}

/// A customer at a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    #[serde(rename = "c")]
    pub customer: CustomerId,
    /// Tells this session from others of the same customer.
    #[serde(rename = "i")]
    pub id: [u8; 16],
    /// Until when.
    #[serde(rename = "e")]
    pub expires_at: Timestamp,
}

/// What a form carries to prove that it is of a page that we showed to this session, about this asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// When the page was shown.
    pub shown_at: Timestamp,
    /// What tells it from other pages of the same millisecond; the number of the grant to be.
    pub page: RecordId,
}

/// Why a form is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketRejected {
    /// Not of a page that we showed to this session about this.
    Forged,
    /// The page was shown too long ago.
    Expired,
}

/// Joins parts so that no two lists of parts give the same bytes.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

impl Seals {
    /// The seals of an issuer, derived from a key of its own.
    #[must_use]
    pub fn new(key: &MacKey) -> Self {
        let derive = |purpose| key.derive(purpose);
        Self {
            session: derive("consent session"),
            ticket: derive("consent ticket"),
            revoke: derive("consent revocation"),
        }
    }

    /// The cookie's value.
    #[must_use]
    pub fn seal(&self, session: &Session) -> String {
        let json = serde_json::to_vec(session).unwrap_or_default();
        let mac = self.session.mac(&[&json]);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(json), URL_SAFE_NO_PAD.encode(mac))
    }

    /// The session of a cookie's value, if we sealed it and it has not ended.
    #[must_use]
    pub fn open(&self, sealed: &str, now: Timestamp) -> Option<Session> {
        let (json, mac) = sealed.split_once('.')?;
        let (json, mac) = (URL_SAFE_NO_PAD.decode(json).ok()?, URL_SAFE_NO_PAD.decode(mac).ok()?);
        if !same_bytes(&self.session.mac(&[&json]), &mac) {
            return None;
        }
        let session: Session = serde_json::from_slice(&json).ok()?;
        (now < session.expires_at).then_some(session)
    }

    /// The text of a ticket: time, number, seal.
    #[must_use]
    pub fn ticket(&self, ticket: Ticket, session: &Session, asking: &Asking) -> String {
        let (shown_at, page) = (ticket.shown_at.unix_ms(), ticket.page.number());
        let seal = URL_SAFE_NO_PAD.encode(self.ticket_seal(ticket, session, asking));
        format!("{shown_at}.{page}.{seal}")
    }

    /// The ticket of its text.
    ///
    /// # Errors
    ///
    /// [`TicketRejected`].
    pub fn open_ticket(
        &self,
        text: &str,
        session: &Session,
        asking: &Asking,
        now: Timestamp,
    ) -> Result<Ticket, TicketRejected> {
        let (ticket, seal) = read_ticket(text).ok_or(TicketRejected::Forged)?;
        if !same_bytes(&self.ticket_seal(ticket, session, asking), &seal) {
            return Err(TicketRejected::Forged);
        }
        if now >= ticket.shown_at.after(SESSION_LIFE) {
            return Err(TicketRejected::Expired);
        }
        Ok(ticket)
    }

    fn ticket_seal(&self, ticket: Ticket, session: &Session, asking: &Asking) -> [u8; 32] {
        let (shown_at, page) = (ticket.shown_at.unix_ms(), ticket.page.number());
        let asked = asking.query();
        self.ticket.mac(&[&framed(&[
            &shown_at.to_be_bytes(),
            &page.to_be_bytes(),
            &session.id,
            session.customer.as_str().as_bytes(),
            asked.as_bytes(),
        ])])
    }

    /// What the form that ends an app's access carries.
    #[must_use]
    pub fn revocation(&self, session: &Session, app: RecordId) -> String {
        let parts = framed(&[&session.id, session.customer.as_str().as_bytes(), &app.number().to_be_bytes()]);
        URL_SAFE_NO_PAD.encode(self.revoke.mac(&[&parts]))
    }
}

fn read_ticket(text: &str) -> Option<(Ticket, Vec<u8>)> {
    let (shown_at, rest) = text.split_once('.')?;
    let (page, seal) = rest.split_once('.')?;
    let shown_at = Timestamp::from_unix_ms(shown_at.parse().ok()?);
    let page = RecordId::from_number(page.parse().ok()?);
    Some((Ticket { shown_at, page }, URL_SAFE_NO_PAD.decode(seal).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mintkeep_web::fields::Fields;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn seals() -> Seals {
        Seals::new(&MacKey::new(b"key"))
    }

    fn session(customer: &str, id: u8) -> Session {
        Session {
            customer: CustomerId::parse(customer).unwrap(),
            id: [id; 16],
            expires_at: NOW.after(SESSION_LIFE),
        }
    }

    fn asking(query: &str) -> Asking {
        Asking::read(&Fields::parse(query.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_session_is_good_until_its_end_and_only_as_it_was_sealed() {
        let sealed = seals().seal(&session("1", 1));
        let other = Seals::new(&MacKey::new(b"other"));
        let last = Timestamp::from_unix_ms(NOW.after(SESSION_LIFE).unix_ms() - 1);
        assert_eq!(seals().open(&sealed, NOW), Some(session("1", 1)));
        assert_eq!(seals().open(&sealed, last), Some(session("1", 1)));
        assert_eq!(seals().open(&sealed, NOW.after(SESSION_LIFE)), None);
        assert_eq!(other.open(&sealed, NOW), None);
        let (_, mac) = sealed.split_once('.').unwrap();
        let swapped = format!("{}.{mac}", seals().seal(&session("2", 1)).split_once('.').unwrap().0);
        for forged in [swapped.as_str(), "", ".", "e30.", "e30"] {
            assert_eq!(seals().open(forged, NOW), None, "{forged}");
        }
    }

    #[test]
    fn a_ticket_is_good_only_for_its_session_and_asking_and_for_ten_minutes() {
        use TicketRejected::{Expired, Forged};
        let ticket = Ticket { shown_at: NOW, page: RecordId::from_number(7) };
        let (mine, asked) = (session("1", 1), asking("client_id=A&redirect_url=u&scopes=a&state=s"));
        let text = seals().ticket(ticket, &mine, &asked);
        let end = NOW.after(SESSION_LIFE);
        let last = Timestamp::from_unix_ms(end.unix_ms() - 1);
        let renumbered = text.replacen(".7.", ".8.", 1);
        let redated = text.replacen("1800000000000", "1800000000001", 1);
        #[rustfmt::skip]
        let cases = [
            ("usual",             &text,       session("1", 1), "client_id=A&redirect_url=u&scopes=a&state=s",   NOW,  None),
            ("last millisecond",  &text,       session("1", 1), "client_id=A&redirect_url=u&scopes=a&state=s",   last, None),
            ("at its end",        &text,       session("1", 1), "client_id=A&redirect_url=u&scopes=a&state=s",   end,  Some(Expired)),
            ("other customer",    &text,       session("2", 1), "client_id=A&redirect_url=u&scopes=a&state=s",   NOW,  Some(Forged)),
            ("other session",     &text,       session("1", 2), "client_id=A&redirect_url=u&scopes=a&state=s",   NOW,  Some(Forged)),
            ("other app",         &text,       session("1", 1), "client_id=B&redirect_url=u&scopes=a&state=s",   NOW,  Some(Forged)),
            ("another scope",     &text,       session("1", 1), "client_id=A&redirect_url=u&scopes=a,b&state=s", NOW,  Some(Forged)),
            ("other URL",         &text,       session("1", 1), "client_id=A&redirect_url=v&scopes=a&state=s",   NOW,  Some(Forged)),
            ("an origin instead", &text,       session("1", 1), "client_id=A&origin=u&scopes=a&state=s",         NOW,  Some(Forged)),
            ("other state",       &text,       session("1", 1), "client_id=A&redirect_url=u&scopes=a&state=t",   NOW,  Some(Forged)),
            ("other number",      &renumbered, session("1", 1), "client_id=A&redirect_url=u&scopes=a&state=s",   NOW,  Some(Forged)),
            ("other time",        &redated,    session("1", 1), "client_id=A&redirect_url=u&scopes=a&state=s",   NOW,  Some(Forged)),
        ];
        for (case, text, session, query, now, rejected) in cases {
            let opened = seals().open_ticket(text, &session, &asking(query), now);
            assert_eq!(opened.err(), rejected, "{case}");
        }
    }

    #[test]
    fn a_revocation_is_one_sessions_for_one_app() {
        let text = seals().revocation(&session("1", 1), RecordId::from_number(7));
        assert_ne!(text, seals().revocation(&session("1", 1), RecordId::from_number(8)));
        assert_ne!(text, seals().revocation(&session("1", 2), RecordId::from_number(7)));
        assert_ne!(text, seals().revocation(&session("2", 1), RecordId::from_number(7)));
    }
}
