//! Adding, changing and removing credentials.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::ident::{AppId, CredentialName, RecordId};
use mintkeep_protocol::keep::credential::{Credential, CredentialSettings, SealedProof, TokenSource};
use mintkeep_protocol::keep::history::{Cause, Ending};
use mintkeep_protocol::keep::slot::{SlotKey, Trouble, Upkeep};
use mintkeep_protocol::port::keeper_store::{Commit, Stored};
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use mintkeep_protocol::secret::ClientSecret;

use super::{AdminFailure, By, TRIES_MAX};
use crate::keeper::Keeper;
use crate::renewal::Errand;
use crate::roster::Account;
use crate::shelf::Leaf;

/// How many customers' tokens are asked for at once with a proof that was changed.
const TRIED_AT_ONCE_MAX: usize = 8;

/// A credential to be added.
pub struct NewCredential {
    /// What our callers call it.
    pub name: CredentialName,
    /// Where its tokens come from.
    pub source: TokenSource,
    /// What the platform calls the app.
    pub app: AppId,
    /// Where the platform is.
    pub base_url: String,
    /// What it proves the app by.
    pub proof: NewProof,
    /// What differs from the defaults.
    pub settings: CredentialSettings,
}

/// What a new credential proves its app by.
pub enum NewProof {
    /// A shared secret.
    Secret(ClientSecret),
    /// A key pair, and the platform's key.
    Key {
        /// Our private key.
        private: RsaPrivateKey,
        /// Its `keyVersion` at the platform.
        version: u32,
        /// What the platform's answers are signed with.
        platform: AppKey,
    },
}

impl Keeper {
    /// Adds a credential; an app's own token is fetched at once.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn add_credential(
        self: &Arc<Self>,
        new: NewCredential,
        by: &By,
    ) -> Result<Arc<Account>, AdminFailure> {
        if !is_base_url(&new.base_url) {
            return Err(AdminFailure::BaseUrlIllegal);
        }
        let no = self.new_record();
        let credential = Credential {
            no,
            app: new.app,
            source: new.source,
            base_url: new.base_url,
            proof: Some(self.seal_proof(no, new.source, &new.proof)?),
            settings: new.settings,
            created_at: self.clock.now(),
            removed_at: None,
            revision: 0,
            name: new.name,
        };
        let audit = self.audit_by(by, AuditAction::CredentialAdded, credential.name.as_str());
        let name = credential.name.clone();
        match self.put_credential(credential, audit).await? {
            Commit::Lost => Err(AdminFailure::NameTaken),
            Commit::Done => self.roster.account(&name).ok_or(AdminFailure::NotFound),
        }
    }

    /// Gives a credential another secret or key, and asks for a token with it at once; where it has customers, for each
    /// whose last renewal needed an operator.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn change_proof(
        self: &Arc<Self>,
        name: &CredentialName,
        proof: &NewProof,
        by: &By,
    ) -> Result<(), AdminFailure> {
        let account = self.roster.account(name).ok_or(AdminFailure::NotFound)?;
        let credential = &account.credential;
        let sealed = self.seal_proof(credential.no, credential.source, proof)?;
        self.change_credential(Credential { proof: Some(sealed), ..credential.clone() }, by).await?;
        let waits = |leaf: &Arc<Leaf>| {
            matches!(leaf.upkeep, Upkeep::NeedsOperator { retry_at: Some(_), .. }).then(|| leaf.key.clone())
        };
        let keys = match account.slot(None) {
            Some(own) => vec![own],
            None => self.shelf.of(credential.no).iter().filter_map(waits).collect(),
        };
        let keeper = Arc::clone(self);
        self.tasks.spawn(async move { keeper.try_proof(keys).await });
        Ok(())
    }

    /// Renews with a proof that was just changed, until that one is no good either: each further customer's one-time token
    /// would be spent on it.
    async fn try_proof(self: &Arc<Self>, keys: Vec<SlotKey>) {
        let tries = stream::iter(keys).map(Ok).try_for_each_concurrent(TRIED_AT_ONCE_MAX, async |key| {
            // A renewal that is under way began with the old one.
            self.flights.ended(&key).await;
            let landed = self.fly(&key, Errand::new(Cause::Operator), None).landed().await;
            let failed = landed.and_then(|landed| match landed.ending {
                Ok(Ending::Failed { trouble }) | Err(trouble) => Some(trouble),
                Ok(Ending::Renewed | Ending::Same | Ending::Resolved | Ending::Forgotten) => None,
            });
            if failed.is_some_and(is_of_the_proof) { Err(()) } else { Ok(()) }
        });
        // Which of them it was, their own states tell.
        let _failed = tries.await;
    }

    /// Points a credential at another place of the same platform; what is held for it stays.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn move_credential(
        self: &Arc<Self>,
        name: &CredentialName,
        base_url: &str,
        by: &By,
    ) -> Result<(), AdminFailure> {
        if !is_base_url(base_url) {
            return Err(AdminFailure::BaseUrlIllegal);
        }
        let account = self.roster.account(name).ok_or(AdminFailure::NotFound)?;
        let base_url = base_url.to_owned();
        self.change_credential(Credential { base_url, ..account.credential.clone() }, by).await
    }

    async fn change_credential(self: &Arc<Self>, changed: Credential, by: &By) -> Result<(), AdminFailure> {
        let audit = self.audit_by(by, AuditAction::CredentialChanged, changed.name.as_str());
        match self.put_credential(changed, audit).await? {
            Commit::Lost => Err(AdminFailure::Contended),
            Commit::Done => Ok(()),
        }
    }

    async fn put_credential(
        self: &Arc<Self>,
        credential: Credential,
        audit: AuditEntry,
    ) -> Result<Commit, AdminFailure> {
        let keeper = Arc::clone(self);
        self.to_its_end(async move {
            let put = keeper.store.put_credential(credential.clone(), audit).await?;
            if put == Commit::Done {
                let revision = credential.revision.saturating_add(1);
                keeper.take_in_credential(Credential { revision, ..credential });
            }
            Ok(put)
        })
        .await
    }

    /// Removes a credential with all that is held for it. Of several who do so at once, all find it done.
    ///
    /// # Errors
    ///
    /// [`AdminFailure`].
    pub async fn remove_credential(
        self: &Arc<Self>,
        name: &CredentialName,
        by: &By,
    ) -> Result<(), AdminFailure> {
        let account = self.roster.account(name).ok_or(AdminFailure::NotFound)?;
        let audit = self.audit_by(by, AuditAction::CredentialRemoved, name.as_str());
        let keeper = Arc::clone(self);
        self.to_its_end(async move {
            let mut credential = account.credential.clone();
            for _ in 0..TRIES_MAX {
                credential.proof = None;
                credential.removed_at = Some(keeper.clock.now());
                let removed = keeper.store.remove_credential(credential.clone(), audit.clone()).await?;
                if let Commit::Lost = removed
                    && let Some(other) = keeper.stored_credential(credential.no).await?
                {
                    credential = other;
                    continue;
                }
                keeper.forget_credential(&credential);
                return Ok(());
            }
            Err(AdminFailure::Contended)
        })
        .await
    }

    /// The credential of this number as it is stored; `None`: it was removed.
    async fn stored_credential(&self, no: RecordId) -> Stored<Option<Credential>> {
        let before = RecordId::from_number(no.number().saturating_sub(1));
        let next = self.store.credentials(Some(before), 1).await?.pop();
        Ok(next.filter(|credential| credential.no == no))
    }

    /// Takes in a credential that is stored, and plans its own token's first fetch.
    pub(crate) fn take_in_credential(&self, credential: Credential) {
        let no = credential.no;
        self.roster.enter(credential);
        if let Some(key) = self.roster.account_by_no(no).and_then(|account| account.slot(None))
            && self.shelf.get(&key).is_none()
        {
            self.timetable.plan_if_none(&key, self.clock.now());
        }
    }

    pub(crate) fn forget_credential(&self, credential: &Credential) {
        self.roster.strike(credential);
        for leaf in self.shelf.of(credential.no) {
            self.timetable.plan(&leaf.key, None);
        }
        self.timetable.plan(&SlotKey { credential: credential.no, customer: None }, None);
        self.shelf.drop_credential(credential.no);
    }

    fn seal_proof(
        &self,
        no: RecordId,
        source: TokenSource,
        proof: &NewProof,
    ) -> Result<SealedProof, AdminFailure> {
        let place = Credential::proof_place(no);
        match (proof, source.dialect().is_signed()) {
            (NewProof::Secret(secret), false) => {
                let sealed = self.seals.seal(&place, secret.expose().as_bytes());
                Ok(SealedProof::Secret(sealed.map_err(|_| AdminFailure::Seal)?))
            }
            (NewProof::Key { private, version, platform }, true) => {
                let sealed = self.seals.seal(&place, private.to_der()).map_err(|_| AdminFailure::Seal)?;
                Ok(SealedProof::Key { private: sealed, version: *version, platform: vec![platform.clone()] })
            }
            (NewProof::Secret(_), true) => {
                Err(AdminFailure::ProofUnfit("a private key and the platform's public key"))
            }
            (NewProof::Key { .. }, false) => Err(AdminFailure::ProofUnfit("a secret")),
        }
    }
}

/// Whether it may be the proof that is wrong: the platform refuses it, or its answers do not bear the key that they are
/// to bear.
const fn is_of_the_proof(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::CredentialRefused | Trouble::AnswerUnreadable | Trouble::InDoubt)
}

/// Whether secrets may be sent there: over TLS, or to this machine.
fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let is_bare = uri.query().is_none() && !authority.as_str().contains('@') && !text.contains('#');
    let host = authority.host().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_bare && (scheme == "https" || (scheme == "http" && is_local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_stay_on_this_machine() {
        #[rustfmt::skip]
        let cases = [
            ("https://api.weixin.qq.com",      true),
            ("https://gw.example:8443/prefix", true),
            ("http://127.0.0.1:7600",          true),
            ("http://[::1]:7600",              true),
            ("http://localhost:7600/",         true),
            ("http://api.weixin.qq.com",       false),
            ("http://127.0.0.1.example",       false),
            ("https://user:pw@api.example",    false),
            ("https://api.example/?a=b",       false),
            ("ftp://127.0.0.1",                false),
            ("api.example",                    false),
            ("",                               false),
        ];
        for (text, good) in cases {
            assert_eq!(is_base_url(text), good, "{text}");
        }
    }
}
