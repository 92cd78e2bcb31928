//! The platform's own keys: the one that tokens are derived from, and the RSA keys that sign answers and
//! open encrypted requests. The store has them sealed under the master key.
//!
//! A key that another replica drew is found within a second, and at once when a request names it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::try_join_all;
use mintkeep_protocol::crypto::reseal::Walk;
use mintkeep_protocol::crypto::{
    KeysMissing, MasterKey, MasterKeys, RsaKeyRejected, RsaPrivateKey, SealBroken,
};
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::port::entropy::{Entropy, draw};
use mintkeep_protocol::port::issuer_store::{Commit, IssuerStore, StoreError};
use mintkeep_protocol::record::{KeyPurpose, PlatformKey};
use mintkeep_web::tasks::{NotDone, Tasks};

/// How often the store is asked for keys that other replicas drew.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// A platform key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SignerFault {
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's keys are sealed under other master keys.
    #[error(transparent)]
    KeysMissing(#[from] KeysMissing),
    /// A key can't be opened.
    #[error("the platform's keys can't be opened: {0}")]
    Sealed(#[from] SealBroken),
    /// The key is not one.
    #[error("a platform key is {0}")]
    Key(#[from] RsaKeyRejected),
    /// The work was not done.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

/// One key, and the version that answers name it by.
#[derive(Clone)]
pub struct SigningKey {
    /// `keyVersion`.
    pub version: u32,
    /// The key.
    pub private: Arc<RsaPrivateKey>,
}

type Keys = HashMap<Dialect, Vec<SigningKey>>;

/// The platform's keys, opened, the latest of each dialect last.
pub struct Signer {
    store: Arc<dyn IssuerStore>,
    keys: ArcSwap<Keys>,
    master: Arc<MasterKeys>,
    tasks: Tasks,
}

fn place(purpose: KeyPurpose, version: u32) -> String {
    format!("platform_key/{}/{version}", purpose.name())
}

/// The key that tokens and the MACs of secrets are derived from; drawn when the store is new.
///
/// It is not the master key itself, so that this one can be rotated without ending every token.
pub(super) async fn token_root(
    store: &dyn IssuerStore,
    master: &MasterKeys,
    entropy: &dyn Entropy,
) -> Result<MasterKey, SignerFault> {
    const VERSION: u32 = 1;
    let place = place(KeyPurpose::Tokens, VERSION);
    let sealed = master.seal(&place, &draw::<32>(entropy))?;
    // Lost is the rule: the store has one, and that one counts.
    let (Commit::Done | Commit::Lost) =
        store.add_platform_key(PlatformKey { purpose: KeyPurpose::Tokens, version: VERSION, sealed }).await?;
    let keys = store.platform_keys().await?;
    let stored = keys.iter().find(|key| key.purpose == KeyPurpose::Tokens).ok_or(SealBroken)?;
    let root = master.open(&place, &stored.sealed)?;
    Ok(MasterKey::new(root.first_chunk().ok_or(SealBroken)?))
}

/// Takes `walk` over the platform's keys.
///
/// # Errors
///
/// [`SignerFault`]. What was sealed anew stays so.
pub async fn walk_platform_keys(store: &dyn IssuerStore, walk: &mut Walk<'_>) -> Result<(), SignerFault> {
    for was in store.platform_keys().await? {
        if walk.meets(was.sealed.master_key_id().as_slice()) {
            let mut key = was.clone();
            walk.keys.renew(&place(key.purpose, key.version), &mut key.sealed)?;
            let audit = walk.audit(&format!("platform key {} {}", key.purpose.name(), key.version));
            let commit = store.reseal_platform_key(key, &was.sealed, audit).await?;
            walk.did(commit == Commit::Done);
        }
    }
    Ok(())
}

impl Signer {
    /// Opens all keys of the store, draws the first one for each signed dialect that has none, and follows
    /// what other replicas draw until the process stops.
    pub(super) async fn open(
        store: Arc<dyn IssuerStore>,
        master: Arc<MasterKeys>,
        tasks: Tasks,
    ) -> Result<Arc<Self>, SignerFault> {
        let mut missing = KeysMissing::default();
        for stored in store.platform_keys().await? {
            missing.look(&master.ring(), stored.sealed.master_key_id().as_slice());
        }
        missing.into_result()?;
        let signer = Arc::new(Self { store, keys: ArcSwap::default(), master, tasks: tasks.clone() });
        signer.load().await?;
        let lacks = |dialect: &Dialect| dialect.is_signed() && signer.latest(*dialect).is_none();
        let lacking = Dialect::ALL.into_iter().filter(lacks);
        // Side by side: drawing a key takes a core for a tenth of a second or more.
        let drawn = try_join_all(lacking.map(|dialect| signer.draw(dialect, 1))).await?;
        if !drawn.is_empty() {
            signer.load().await?;
        }
        tasks.spawn(Arc::clone(&signer).follow());
        Ok(signer)
    }

    /// Draws a further key, which then signs; the older ones still open what was encrypted for them.
    ///
    /// # Errors
    ///
    /// [`SignerFault`].
    pub async fn rotate(&self, dialect: Dialect) -> Result<u32, SignerFault> {
        // Another replica may have rotated it a moment ago.
        self.load().await?;
        let version = self.latest(dialect).map_or(1, |key| key.version.saturating_add(1));
        self.draw(dialect, version).await?;
        self.load().await?;
        Ok(version)
    }

    /// The key that signs a dialect's answers.
    #[must_use]
    pub fn latest(&self, dialect: Dialect) -> Option<SigningKey> {
        self.keys.load().get(&dialect)?.last().cloned()
    }

    /// All keys of a dialect, the oldest first.
    #[must_use]
    pub fn all(&self, dialect: Dialect) -> Vec<SigningKey> {
        self.keys.load().get(&dialect).cloned().unwrap_or_default()
    }

    /// The key that a request's `Encrypt` names; the latest if it names none. One that is not known here may
    /// have been drawn by another replica a moment ago, so the store is asked before it is denied.
    ///
    /// # Errors
    ///
    /// [`SignerFault`]: it is unknown whether there is such a key.
    pub async fn key(
        &self,
        dialect: Dialect,
        version: Option<u32>,
    ) -> Result<Option<SigningKey>, SignerFault> {
        let Some(version) = version else { return Ok(self.latest(dialect)) };
        if let Some(key) = self.held(dialect, version) {
            return Ok(Some(key));
        }
        self.load().await?;
        Ok(self.held(dialect, version))
    }

    fn held(&self, dialect: Dialect, version: u32) -> Option<SigningKey> {
        self.keys.load().get(&dialect)?.iter().find(|key| key.version == version).cloned()
    }

    /// Takes in what other replicas draw until the process stops.
    async fn follow(self: Arc<Self>) {
        let mut is_told = false;
        while tokio::time::timeout(FOLLOW_EVERY, self.tasks.stopping()).await.is_err() {
            match self.load().await {
                Ok(()) => is_told = false,
                // That the store does not answer is told elsewhere.
                Err(SignerFault::Store(_)) => {}
                Err(fault) if !is_told => {
                    is_told = true;
                    tracing::error!(%fault, "a platform key of another replica can't be used; the older one signs on");
                }
                Err(_) => {}
            }
        }
    }

    /// Reads the keys anew, and opens those that are not held yet.
    async fn load(&self) -> Result<(), SignerFault> {
        let mut keys = Keys::new();
        for stored in self.store.platform_keys().await? {
            self.master.see(&stored.sealed);
            let KeyPurpose::Answers(dialect) = stored.purpose else { continue };
            let key = match self.held(dialect, stored.version) {
                Some(held) => held,
                None => self.opened(&stored)?,
            };
            keys.entry(dialect).or_default().push(key);
        }
        for of_dialect in keys.values_mut() {
            of_dialect.sort_by_key(|key| key.version);
        }
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    fn opened(&self, stored: &PlatformKey) -> Result<SigningKey, SignerFault> {
        let der = self.master.open(&place(stored.purpose, stored.version), &stored.sealed)?;
        Ok(SigningKey { version: stored.version, private: Arc::new(RsaPrivateKey::from_der(&der)?) })
    }

    async fn draw(&self, dialect: Dialect, version: u32) -> Result<(), SignerFault> {
        let private = self.tasks.spawn_blocking(RsaPrivateKey::generate).await??;
        let purpose = KeyPurpose::Answers(dialect);
        let sealed = self.master.seal(&place(purpose, version), private.to_der())?;
        // Lost: another replica drew this version first; its key is loaded next.
        let (Commit::Done | Commit::Lost) =
            self.store.add_platform_key(PlatformKey { purpose, version, sealed }).await?;
        Ok(())
    }
}
