//! Who is signed in: a bounded number of sessions, in memory, that end by themselves.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mintkeep_protocol::crypto::{same_bytes, sha256};
use mintkeep_protocol::port::entropy::{Entropy, draw};
use mintkeep_protocol::time::Timestamp;

use super::visit::Notice;

/// How long a session lasts at most.
pub(super) const LIFE: Duration = Duration::from_hours(8);
/// How long it lasts without a request.
pub(super) const IDLE: Duration = Duration::from_hours(1);
/// How many there are at once. One more ends the one that has been still for longest.
pub(super) const SESSIONS_MAX: usize = 64;

/// Names a session: the digest of its cookie, so that what is kept signs nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId([u8; 32]);

struct Session {
    form_token: String,
    ends_at: Timestamp,
    used_at: Timestamp,
    /// What the page at this path is to say once.
    notice: Option<(String, Notice)>,
}

impl Session {
    fn is_live(&self, now: Timestamp) -> bool {
        now < self.ends_at && now < self.used_at.after(IDLE)
    }
}

/// The sessions of this process.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<SessionId, Session>>);

/// 256 random bits.
fn drawn(entropy: &dyn Entropy) -> String {
    URL_SAFE_NO_PAD.encode(draw::<32>(entropy))
}

impl Sessions {
    /// Begins a session; its cookie's value comes back.
    pub(super) fn begin(&self, entropy: &dyn Entropy, now: Timestamp) -> String {
        let cookie = drawn(entropy);
        let session =
            Session { form_token: drawn(entropy), ends_at: now.after(LIFE), used_at: now, notice: None };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.is_live(now));
        if sessions.len() >= SESSIONS_MAX
            && let Some(stillest) = sessions.iter().min_by_key(|(_, session)| session.used_at)
        {
            let stillest = *stillest.0;
            sessions.remove(&stillest);
        }
        sessions.insert(SessionId(sha256(cookie.as_bytes())), session);
        cookie
    }

    /// The session of a cookie's value and its form token, if it has not ended.
    pub(super) fn enter(&self, cookie: &str, now: Timestamp) -> Option<(SessionId, String)> {
        let id = SessionId(sha256(cookie.as_bytes()));
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&id).filter(|session| session.is_live(now))?;
        session.used_at = now;
        Some((id, session.form_token.clone()))
    }

    /// Ends a session.
    pub(super) fn end(&self, id: SessionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Has the page at `path` say something once, in this session alone.
    pub(super) fn leave(&self, id: SessionId, path: &str, notice: Notice) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get_mut(&id) {
            session.notice = Some((path.to_owned(), notice));
        }
    }

    /// Takes what the page at `path` is to say, so that nobody reads it twice.
    pub(super) fn take(&self, id: SessionId, path: &str) -> Option<Notice> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = &mut sessions.get_mut(&id)?.notice;
        left.take_if(|(meant, _)| meant == path).map(|(_, notice)| notice)
    }
}

/// Whether a form carries the token of its session.
pub(super) fn is_token(shown: Option<&str>, token: &str) -> bool {
    same_bytes(shown.unwrap_or_default().as_bytes(), token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mintkeep_protocol::port::entropy::SystemEntropy;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    #[test]
    fn a_session_ends_an_hour_after_its_last_use_or_eight_after_its_first() {
        let last = |wait: Duration| NOW.after(wait).before(Duration::from_millis(1));
        let (half, hours) = (Duration::from_mins(30), |n| Duration::from_hours(n));
        let every_half_hour: Vec<Timestamp> = (1..16).map(|n| NOW.after(half * n)).collect();
        #[rustfmt::skip]
        let cases = [
            ("last still millisecond", vec![],                  last(IDLE),        true),
            ("still for an hour",      vec![],                  NOW.after(IDLE),   false),
            ("used meanwhile",         vec![NOW.after(half)],   NOW.after(IDLE),   true),
            ("used all day",           every_half_hour.clone(), last(hours(8)),    true),
            ("used for too long",      every_half_hour,         NOW.after(hours(8)), false),
        ];
        for (case, uses, at, is_live) in cases {
            let sessions = Sessions::default();
            let cookie = sessions.begin(&SystemEntropy, NOW);
            assert!(uses.iter().all(|used_at| sessions.enter(&cookie, *used_at).is_some()), "{case}");
            assert_eq!(sessions.enter(&cookie, at).is_some(), is_live, "{case}");
        }
    }

    #[test]
    fn one_session_too_many_ends_the_stillest() {
        let sessions = Sessions::default();
        let later = |n: usize| NOW.after(Duration::from_millis(u64::try_from(n).unwrap()));
        let cookies: Vec<String> =
            (0..SESSIONS_MAX).map(|n| sessions.begin(&SystemEntropy, later(n))).collect();
        assert!(sessions.enter(&cookies[0], later(SESSIONS_MAX)).is_some(), "now the second is the stillest");
        let newest = sessions.begin(&SystemEntropy, later(SESSIONS_MAX));
        let live = |cookie: &String| sessions.enter(cookie, later(SESSIONS_MAX)).is_some();
        assert_eq!(
            [live(&cookies[0]), live(&cookies[1]), live(&cookies[2]), live(&newest)],
            [true, false, true, true]
        );
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS_MAX);
    }

    #[test]
    fn a_notice_is_said_once_by_its_own_page_in_its_own_session() {
        let sessions = Sessions::default();
        let enter = |cookie: &str| sessions.enter(cookie, NOW).unwrap().0;
        let (mine, yours) = (sessions.begin(&SystemEntropy, NOW), sessions.begin(&SystemEntropy, NOW));
        sessions.leave(enter(&mine), "/apps/a", Notice::said("Done."));
        assert!(sessions.take(enter(&mine), "/apps/b").is_none());
        assert!(sessions.take(enter(&yours), "/apps/a").is_none());
        assert!(sessions.take(enter(&mine), "/apps/a").is_some());
        assert!(sessions.take(enter(&mine), "/apps/a").is_none());
    }
}
