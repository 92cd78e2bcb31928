//! Speaking with a platform: what is said, the wire, what is understood.

use std::sync::Arc;

use bytes::Bytes;
use mintkeep_protocol::keep::renew::Obtained;
use mintkeep_protocol::keep::slot::{Slot, TokenDigest, Trouble};
use mintkeep_protocol::port::upstream::{FaultCause, UpstreamFault};
use mintkeep_protocol::time::Timestamp;

use crate::keeper::Keeper;
use crate::roster::Account;
use crate::wire::{self, Asking, Brought, Reading};

impl Keeper {
    /// Sends one request, through the platform's breaker and within the deadline.
    pub(crate) async fn send(
        &self,
        base_url: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, UpstreamFault> {
        let Some(pass) = self.breakers.pass(base_url) else {
            return Err(UpstreamFault::NotSent(FaultCause::BreakerOpen));
        };
        let sending = self.upstream.send(base_url, request);
        let sent = tokio::time::timeout(self.settings.request_deadline, sending).await;
        let answer = sent.unwrap_or(Err(UpstreamFault::Ambiguous(FaultCause::Deadline)))?;
        pass.answered();
        Ok(answer)
    }

    /// Opens the proof and writes the request; where that means a signature, off the event loop.
    pub(crate) async fn encode(
        self: &Arc<Self>,
        account: &Arc<Account>,
        asking: Asking,
    ) -> Result<http::Request<Bytes>, Trouble> {
        let (keeper, account) = (Arc::clone(self), Arc::clone(account));
        let fresh = (self.clock.now(), self.draw());
        let is_signed = account.credential.source.dialect().is_signed();
        let work = move || wire::encode(&account.credential, account.proof(&keeper.seals)?, asking, fresh);
        if is_signed {
            self.tasks.spawn_blocking(work).await.unwrap_or(Err(Trouble::NotSent))
        } else {
            work()
        }
    }

    /// Reads an answer; where that means a signature, off the event loop.
    pub(crate) async fn read_answer(
        self: &Arc<Self>,
        account: &Arc<Account>,
        request: &http::Request<Bytes>,
        answer: &http::Response<Bytes>,
        asked_at: Timestamp,
    ) -> Result<Reading, Trouble> {
        let (keeper, account) = (Arc::clone(self), Arc::clone(account));
        let (request, answer) = (request.clone(), answer.clone());
        let is_signed = account.credential.source.dialect().is_signed();
        let work = move || {
            let proof = account.proof(&keeper.seals)?;
            Ok(wire::read(&account.credential, proof, &request, &answer, asked_at))
        };
        if !is_signed {
            return work();
        }
        // An answer that was not read for lack of a place is read later: it is durable.
        self.tasks.spawn_blocking(work).await.unwrap_or(Err(Trouble::AnswerUnreadable))
    }

    /// The tokens in the answer that a slot was left with; `None`: there is no answer, or no tokens are in it.
    pub(crate) async fn left_tokens(
        self: &Arc<Self>,
        account: &Arc<Account>,
        slot: &Slot,
    ) -> Option<Obtained> {
        let (place, intent) = (slot.key.place(), slot.intent.as_ref()?);
        let answer = self.seals.open_answer(&place, intent.answer.as_ref()?).ok()?;
        let request = self.seals.open_request(&place, &intent.request).ok()?;
        match self.read_answer(account, &request, &answer, intent.presented_at).await {
            Ok(Reading::Tokens(brought)) => self.obtained(slot, brought).ok(),
            Ok(Reading::Refused { .. } | Reading::Unknown { .. }) | Err(_) => None,
        }
    }

    /// Seals what a platform granted for `slot`.
    pub(crate) fn obtained(&self, slot: &Slot, brought: Brought) -> Result<Obtained, Trouble> {
        let (refresh, refresh_expires_at) = brought.refresh.unzip();
        let tokens = self
            .seals
            .seal_tokens(&slot.key, &brought.access, refresh.as_ref())
            .map_err(|_| Trouble::SealBroken)?;
        Ok(Obtained {
            digest: TokenDigest::of(brought.access.expose()),
            tokens,
            expires_at: brought.expires_at,
            refresh_expires_at,
        })
    }
}
