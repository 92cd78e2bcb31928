//! What is sealed before it is stored, and opened after.

use std::sync::Arc;

use bytes::Bytes;
use mintkeep_protocol::crypto::{MasterKeyRing, MasterKeys, SealBroken, Sealed};
use mintkeep_protocol::dialect::answer::{read_back, write_down};
use mintkeep_protocol::keep::intent::{FrozenAnswer, FrozenRequest, RequestBytes};
use mintkeep_protocol::keep::slot::{SlotKey, Tokens};
use mintkeep_protocol::secret::{AccessToken, RefreshToken};
use zeroize::Zeroizing;

/// A slot's tokens, open.
pub(crate) struct OpenTokens {
    pub(crate) access: AccessToken,
    pub(crate) refresh: Option<RefreshToken>,
}

/// The master keys, and what is sealed under them.
pub(crate) struct Seals(Arc<MasterKeys>);

impl Seals {
    pub(crate) const fn new(keys: Arc<MasterKeys>) -> Self {
        Self(keys)
    }

    pub(crate) fn ring(&self) -> Arc<MasterKeyRing> {
        self.0.ring()
    }

    pub(crate) fn seal<T>(&self, place: &str, secret: &[u8]) -> Result<Sealed<T>, SealBroken> {
        self.0.seal(place, secret)
    }

    pub(crate) fn open<T>(&self, place: &str, sealed: &Sealed<T>) -> Result<Zeroizing<Vec<u8>>, SealBroken> {
        self.0.open(place, sealed)
    }

    /// Access token, then a line feed and the refresh token where there is one: neither has a line feed.
    pub(crate) fn seal_tokens(
        &self,
        key: &SlotKey,
        access: &AccessToken,
        refresh: Option<&RefreshToken>,
    ) -> Result<Sealed<Tokens>, SealBroken> {
        let mut text = Zeroizing::new(access.expose().to_owned());
        if let Some(refresh) = refresh {
            text.push('\n');
            text.push_str(refresh.expose());
        }
        self.seal(&key.place(), text.as_bytes())
    }

    pub(crate) fn open_tokens(
        &self,
        key: &SlotKey,
        sealed: &Sealed<Tokens>,
    ) -> Result<OpenTokens, SealBroken> {
        let bytes = self.open(&key.place(), sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SealBroken)?;
        let (access, refresh) = match text.split_once('\n') {
            Some((access, refresh)) => (access, Some(RefreshToken::new(refresh.to_owned()))),
            None => (text, None),
        };
        Ok(OpenTokens { access: AccessToken::new(access.to_owned()), refresh })
    }

    pub(crate) fn seal_request(
        &self,
        place: &str,
        request: &http::Request<Bytes>,
    ) -> Result<Sealed<FrozenRequest>, SealBroken> {
        let frozen = RequestBytes::freeze(request).map_err(|_| SealBroken)?;
        self.seal(place, &frozen)
    }

    pub(crate) fn open_request(
        &self,
        place: &str,
        sealed: &Sealed<FrozenRequest>,
    ) -> Result<http::Request<Bytes>, SealBroken> {
        RequestBytes::thaw(&self.open(place, sealed)?).map_err(|_| SealBroken)
    }

    pub(crate) fn seal_answer(
        &self,
        place: &str,
        answer: &http::Response<Bytes>,
    ) -> Result<Sealed<FrozenAnswer>, SealBroken> {
        self.seal(place, &Zeroizing::new(write_down(answer)))
    }

    pub(crate) fn open_answer(
        &self,
        place: &str,
        sealed: &Sealed<FrozenAnswer>,
    ) -> Result<http::Response<Bytes>, SealBroken> {
        read_back(&self.open(place, sealed)?).ok_or(SealBroken)
    }
}
