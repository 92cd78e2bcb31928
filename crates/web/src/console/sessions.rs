//! Who is signed in, over all replicas: the browser carries the session, the store knows which were ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mintkeep_protocol::port::issuer_store::{IssuerStore, Stored};
use mintkeep_protocol::record::SpentNonce;
use mintkeep_protocol::time::Timestamp;

use super::seals::{Seals, Session};
use crate::admin_token::AdminToken;

/// Sessions and their ends.
pub(super) struct Sessions {
    /// What browsers carry.
    pub seals: Seals,
    store: Arc<dyn IssuerStore>,
    /// Those that were signed out here, and when each would have ended: known also while the store does not answer.
    ended: Mutex<HashMap<[u8; 16], Timestamp>>,
}

impl Sessions {
    /// Sessions that are begun by `token`; `store` is told which were ended.
    pub(super) fn new(token: &AdminToken, store: Arc<dyn IssuerStore>) -> Self {
        Self { seals: Seals::new(token), store, ended: Mutex::default() }
    }

    /// The session of a cookie's value, if it has not ended.
    ///
    /// A store that does not answer ends nobody's session: in that hour an operator needs the console most. What
    /// was signed out at another replica could then be used until it has rested for an hour.
    pub(super) async fn enter(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let session = self.seals.session(cookie, now)?;
        if self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&session.id) {
            return None;
        }
        match self.store.is_spent(session.digest()).await {
            Ok(is_ended) => (!is_ended).then_some(session),
            Err(error) => {
                tracing::warn!(%error, "the store did not tell whether a session of the console was ended");
                Some(session)
            }
        }
    }

    /// Ends a session, at every replica.
    ///
    /// # Errors
    ///
    /// The store was not told: until the session would have ended by itself only this process knows.
    pub(super) async fn end(&self, session: &Session, now: Timestamp) -> Stored<()> {
        let expires_at = session.ends_at();
        {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.retain(|_, until| now < *until);
            ended.insert(session.id, expires_at);
        }
        self.store.spend_nonce(SpentNonce { digest: session.digest(), expires_at }).await.map(|_| ())
    }
}
