//! What browsers carry for the console: their session, and what the next page says, so that any replica can read
//! it and nobody else make it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mintkeep_protocol::crypto::{MacKey, MasterKey, MasterKeyRing, Sealed, same_bytes, sha256};
use mintkeep_protocol::port::entropy::{Entropy, draw};
use mintkeep_protocol::time::Timestamp;

use super::visit::Notice;
use crate::admin_token::AdminToken;

/// How long a session lasts at most.
pub(super) const LIFE: Duration = Duration::from_hours(8);
/// How long it lasts without a request.
pub(super) const IDLE: Duration = Duration::from_hours(1);
/// How old the cookie may be before a page brings a fresh one, from which the rest is counted anew.
const FRESH: Duration = Duration::from_mins(1);
/// Longest sealed notice, in characters: a browser may refuse a cookie of more than 4,096 bytes.
const NOTICE_CHARS_MAX: usize = 3_800;

/// A session, as its cookie has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    /// Tells it from all others.
    pub id: [u8; 16],
    begun_at: Timestamp,
    /// When its cookie was made.
    seen_at: Timestamp,
}

impl Session {
    /// A session that begins now.
    pub(super) fn begin(entropy: &dyn Entropy, now: Timestamp) -> Self {
        Self { id: draw(entropy), begun_at: now, seen_at: now }
    }

    /// When it ends at the latest.
    pub(super) fn ends_at(&self) -> Timestamp {
        self.begun_at.after(LIFE)
    }

    fn is_live(&self, now: Timestamp) -> bool {
        now < self.ends_at() && now < self.seen_at.after(IDLE)
    }

    /// The same, seen again, if that is worth a new cookie.
    pub(super) fn refreshed(self, now: Timestamp) -> Option<Self> {
        (now >= self.seen_at.after(FRESH)).then_some(Self { seen_at: now, ..self })
    }

    /// Its name in the store, of which no cookie can be made.
    pub(super) fn digest(&self) -> [u8; 32] {
        sha256(&[b"console session ".as_slice(), &self.id].concat())
    }
}

/// The keys, derived from the admin token: all replicas have them, and with another token every session has ended.
pub(super) struct Seals {
    cookie: MacKey,
    form: MacKey,
    notice: MasterKeyRing,
}

impl Seals {
    /// The seals that belong to `token`.
    pub(super) fn new(token: &AdminToken) -> Self {
        let key = token.key("console");
        let notice = MasterKeyRing::new(MasterKey::new(&key.mac(&[b"notice"])), vec![]);
        Self { cookie: key.derive("session"), form: key.derive("form"), notice }
    }

    /// The value of a session's cookie: number, times, MAC.
    pub(super) fn cookie(&self, session: &Session) -> String {
        let times = [session.begun_at, session.seen_at].map(|at| at.unix_ms().to_be_bytes());
        let mut bytes = [session.id.as_slice(), times.as_flattened()].concat();
        bytes.extend_from_slice(&self.cookie.mac(&[&bytes]));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The session of a cookie's value, if it has not ended by itself.
    pub(super) fn session(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (said, mac) = bytes.split_at_checked(32)?;
        if !same_bytes(&self.cookie.mac(&[said]), mac) {
            return None;
        }
        let (id, times) = said.split_first_chunk()?;
        let (begun_at, times) = times.split_first_chunk()?;
        let [begun_at, seen_at] =
            [*begun_at, *times.first_chunk()?].map(|ms| Timestamp::from_unix_ms(i64::from_be_bytes(ms)));
        Some(Session { id: *id, begun_at, seen_at }).filter(|session| session.is_live(now))
    }

    /// What a session's forms carry.
    pub(super) fn form_token(&self, session: &Session) -> String {
        URL_SAFE_NO_PAD.encode(self.form.mac(&[&session.id]))
    }

    /// Whether a form carries the token of its session.
    pub(super) fn is_form_token(&self, shown: Option<&str>, session: &Session) -> bool {
        same_bytes(shown.unwrap_or_default().as_bytes(), self.form_token(session).as_bytes())
    }

    /// What the browser keeps for the page at `path`, which says it once. Nobody else can read it.
    pub(super) fn seal(&self, session: &Session, path: &str, notice: &Notice) -> Option<String> {
        let seal = |notice: &Notice| {
            let sealed: Sealed<Notice> = self.notice.seal(&place(session, path), &notice.written()).ok()?;
            Some(URL_SAFE_NO_PAD.encode(sealed.as_bytes()))
        };
        let whole = seal(notice)?;
        if whole.len() <= NOTICE_CHARS_MAX { Some(whole) } else { seal(&notice.clipped()) }
    }

    /// What the page at `path` is to say.
    pub(super) fn notice(&self, session: &Session, path: &str, kept: &str) -> Option<Notice> {
        let sealed: Sealed<Notice> = Sealed::from_bytes(URL_SAFE_NO_PAD.decode(kept).ok()?);
        Notice::read(&self.notice.open(&place(session, path), &sealed).ok()?)
    }
}

/// Where a notice can be opened: in its session, on its page.
fn place(session: &Session, path: &str) -> String {
    format!("{}{path}", URL_SAFE_NO_PAD.encode(session.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mintkeep_protocol::port::entropy::SystemEntropy;
    use mintkeep_protocol::secret::ClientSecret;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn seals(token: &str) -> Seals {
        Seals::new(&AdminToken::new(&ClientSecret::new(token.to_owned())))
    }

    #[test]
    fn a_session_ends_an_hour_after_its_last_use_or_eight_after_its_first() {
        let last = |wait: Duration| NOW.after(wait).before(Duration::from_millis(1));
        let (half, hours) = (Duration::from_mins(30), |n| Duration::from_hours(n));
        let every_half_hour: Vec<Timestamp> = (1..16).map(|n| NOW.after(half * n)).collect();
        #[rustfmt::skip]
        let cases = [
            ("last still millisecond", vec![],                  last(IDLE),          true),
            ("still for an hour",      vec![],                  NOW.after(IDLE),     false),
            ("used meanwhile",         vec![NOW.after(half)],   NOW.after(IDLE),     true),
            ("used all day",           every_half_hour.clone(), last(hours(8)),      true),
            ("used for too long",      every_half_hour,         NOW.after(hours(8)), false),
        ];
        for (case, uses, at, is_live) in cases {
            let seals = seals("token");
            let mut cookie = seals.cookie(&Session::begin(&SystemEntropy, NOW));
            for used_at in uses {
                let session = seals.session(&cookie, used_at).expect(case);
                cookie = seals.cookie(&session.refreshed(used_at).expect(case));
            }
            assert_eq!(seals.session(&cookie, at).is_some(), is_live, "{case}");
        }
    }

    #[test]
    fn only_a_cookie_that_is_a_minute_old_is_made_anew() {
        let session = Session::begin(&SystemEntropy, NOW);
        assert!(session.refreshed(NOW.after(FRESH).before(Duration::from_millis(1))).is_none());
        assert!(
            session.refreshed(NOW.after(FRESH)).is_some_and(|fresh| fresh.ends_at() == session.ends_at())
        );
    }

    #[test]
    fn a_session_is_read_under_its_own_token_and_only_as_it_was_made() {
        let session = Session::begin(&SystemEntropy, NOW);
        let cookie = seals("token").cookie(&session);
        assert_eq!(seals("token").session(&cookie, NOW), Some(session));
        assert_eq!(seals("other").session(&cookie, NOW), None);
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert_eq!(seals("token").session(&URL_SAFE_NO_PAD.encode(&forged), NOW), None, "byte {at}");
            assert_eq!(seals("token").session(&URL_SAFE_NO_PAD.encode(&bytes[..at]), NOW), None);
        }
    }

    #[test]
    fn a_notice_is_read_on_its_own_page_in_its_own_session() {
        let seals = seals("token");
        let (mine, yours) = (Session::begin(&SystemEntropy, NOW), Session::begin(&SystemEntropy, NOW));
        let notice = Notice::said("Done.").with_secret("The key", "planted".to_owned());
        let kept = seals.seal(&mine, "/apps/a", &notice).unwrap();
        let read = seals.notice(&mine, "/apps/a", &kept).unwrap();
        assert_eq!((read.text.as_str(), read.secrets[0].1.as_str()), ("Done.", "planted"));
        assert!(seals.notice(&mine, "/apps/b", &kept).is_none());
        assert!(seals.notice(&yours, "/apps/a", &kept).is_none());
        assert!(!kept.contains("planted") && seals.form_token(&mine) != seals.form_token(&yours));
        let long = seals.seal(&mine, "/apps/a", &Notice::trouble("é".repeat(9_000))).unwrap();
        assert!(long.len() <= NOTICE_CHARS_MAX && seals.notice(&mine, "/apps/a", &long).is_some());
    }
}
