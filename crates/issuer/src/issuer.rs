//! The issuer's use-cases: load, decide, commit.

mod bearer;
mod calls;
mod catch_up;
mod desk;
mod exchange;
mod extension;
mod facade;
mod inspect;
mod meter;
mod signer;
mod tally;

use std::fmt;
use std::sync::Arc;

use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::{MacKey, MasterKeys};
use mintkeep_protocol::ident::{AppId, RecordId};
use mintkeep_protocol::issue::authenticate::AuthenticClient;
use mintkeep_protocol::outcome::{Outcome, Refusal};
use mintkeep_protocol::port::entropy::{Entropy, draw};
use mintkeep_protocol::port::issuer_store::{IssuerStore, StoreError, Stored};
use mintkeep_protocol::record::{AuditAction, AuditEntry, Pool};
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_protocol::token::{Generation, Salt, StoreEpoch, TokenKeys, TokenKind, TokenPlace};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::limits::Limits;
use mintkeep_web::tasks::Tasks;

pub use calls::Answered;
pub use exchange::CodeAsk;
pub use facade::{Introspection, IssuedCode};
pub use inspect::{Inspection, TokenState};
pub use signer::{Signer, SignerFault, SigningKey, walk_platform_keys};

use desk::Desk;
use extension::Extensions;
use meter::Meter;
use tally::Tally;

/// How often a lost commit is decided anew before the caller is told to come back. Two replicas that both mint for one
/// app all the time each lose about half of their commits.
pub(crate) const COMMIT_TRIES: usize = 16;

/// What an issuer is made of.
pub struct IssuerParts {
    /// The records.
    pub store: Arc<dyn IssuerStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Where work is spawned.
    pub tasks: Tasks,
    /// The master keys: the platform's own keys are sealed under them.
    pub master: Arc<MasterKeys>,
    /// The listener's limits.
    pub limits: Limits,
    /// Where browsers and metadata readers find this issuer, without a slash at the end.
    pub public_url: String,
}

/// The authorization server.
pub struct Issuer {
    /// The records.
    pub store: Arc<dyn IssuerStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Where work is spawned.
    pub tasks: Tasks,
    /// The listener's limits.
    pub limits: Limits,
    /// Where it is found from outside.
    pub public_url: String,
    /// Mints and checks tokens.
    pub tokens: TokenKeys,
    /// MACs secrets.
    pub secret_key: MacKey,
    /// Signs the answers of the signed dialects.
    pub signer: Arc<Signer>,
    epoch: StoreEpoch,
    desk: Desk,
    extensions: Extensions,
    tally: Tally,
    meter: Meter,
}

/// Why a use-case did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The caller's doing.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Ours. It may have happened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// So many others changed the same record that we gave up. Nothing happened.
    #[error("the record is busy")]
    Busy,
    /// The caller's app was changed after it was let in. Nothing happened: it may be let in anew, or not.
    #[error("the app was changed meanwhile")]
    Overtaken,
}

impl From<SignerFault> for Failure {
    fn from(fault: SignerFault) -> Self {
        if let SignerFault::Store(error) = fault {
            return Self::Store(error);
        }
        tracing::error!(%fault, "a platform key can't be used");
        Self::Busy
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::Refused(refusal),
            Failure::Store(error) => {
                tracing::error!(%error, "the issuer could not use its store");
                Self::Unknown
            }
            Failure::Busy | Failure::Overtaken => Self::Unknown,
        }
    }
}

impl Issuer {
    /// Opens the issuer over its store: reads the epoch and the platform's keys.
    ///
    /// # Errors
    ///
    /// [`SignerFault`]: the store can't be read, or its platform keys can't be opened with these master keys.
    pub async fn open(parts: IssuerParts) -> Result<Arc<Self>, SignerFault> {
        let epoch = parts.store.epoch().await?;
        let signer = Signer::open(parts.store.clone(), parts.master.clone(), parts.tasks.clone()).await?;
        let root = signer::token_root(&*parts.store, &parts.master, &*parts.entropy).await?;
        let extensions = Extensions::new(parts.store.is_shared());
        Ok(Arc::new(Self {
            tokens: TokenKeys::new(&root),
            secret_key: root.mac_key("client secrets"),
            store: parts.store,
            clock: parts.clock,
            entropy: parts.entropy,
            tasks: parts.tasks,
            limits: parts.limits,
            public_url: parts.public_url,
            signer,
            epoch,
            desk: Desk::default(),
            extensions,
            tally: Tally::default(),
            meter: Meter::default(),
        }))
    }

    /// The app of this id, whatever its dialect.
    ///
    /// # Errors
    ///
    /// [`Refusal::ClientUnknown`].
    pub async fn app(&self, id: &AppId) -> Result<Arc<App>, Failure> {
        Ok(self.store.app(id).await?.ok_or(Refusal::ClientUnknown)?)
    }

    /// What a lost commit means for whoever was let in as `client`.
    ///
    /// # Errors
    ///
    /// [`Failure::Overtaken`] if the app is another by now: who calls may not be let in again. If it is not, somebody
    /// else changed the record, which is to be decided on anew.
    async fn still_lets_in(&self, client: &AuthenticClient) -> Result<(), Failure> {
        let app = self.store.app_by_no(client.app().no).await?;
        let is_same = app.is_some_and(|app| app.revision == client.app().revision);
        if is_same { Ok(()) } else { Err(Failure::Overtaken) }
    }

    /// The text of a pool's token, or of a ticket that is drawn with one.
    fn pool_token_text(&self, pool: &Pool, kind: TokenKind, generation: Generation) -> String {
        let place =
            TokenPlace { kind, record: pool.key.app, salt: &pool.salt, token_epoch: pool.token_epoch };
        self.tokens.mint(&place, generation)
    }

    /// The number of a record that is made at `now`.
    #[must_use]
    pub fn new_record(&self, now: Timestamp) -> RecordId {
        RecordId::new(now, u32::from_be_bytes(draw(&*self.entropy)))
    }

    /// A new salt.
    fn salt(&self) -> Salt {
        Salt(draw(&*self.entropy))
    }

    /// The generation of codes issued now.
    fn code_generation(&self) -> Generation {
        Generation::of_codes_in(self.epoch)
    }

    /// Writes an audit line for a change outside of the records, such as the sandbox clock's.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn note(&self, entry: AuditEntry) -> Stored<()> {
        self.store.write_audit(entry).await
    }

    /// An audit line.
    pub fn audit(
        &self,
        actor: impl fmt::Display,
        action: AuditAction,
        subject: impl fmt::Display,
        arrival: &Arrival,
    ) -> AuditEntry {
        AuditEntry {
            at: self.clock.now(),
            actor: actor.to_string(),
            action,
            subject: subject.to_string(),
            address: Some(arrival.peer),
            request_id: arrival.id.to_string(),
        }
    }

    /// The clock's reading.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
