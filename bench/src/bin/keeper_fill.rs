//! Fills an embedded store with credentials that hold tokens, as a keeper leaves it that has run for hours.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, sha256};
use mintkeep_protocol::ident::{AppId, CredentialName, RecordId};
use mintkeep_protocol::keep::credential::{Credential, CredentialSettings, SealedProof, TokenSource};
use mintkeep_protocol::keep::history::{Cause, Ending, HistoryEntry};
use mintkeep_protocol::keep::semantics::Terms;
use mintkeep_protocol::keep::slot::{Held, Slot, SlotKey, TokenDigest, TokenVersion, Upkeep};
use mintkeep_protocol::keep::timetable::{Chance, renew_at};
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::port::keeper_store::{Ended, KeeperStore};
use mintkeep_protocol::record::{AuditAction, AuditEntry};
use mintkeep_protocol::time::{Clock, Timestamp};
use mintkeep_store::{SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

/// Prints a line for each credential: its app, when its token is due, when that ends (Unix time in ms).
#[derive(Parser)]
struct Arguments {
    /// The store's folder.
    folder: PathBuf,
    /// What the keeper's `[master_key]` names.
    master_key: PathBuf,
    /// Where the platform is.
    base_url: String,
    /// How many credentials, half of them of WeChat, half of DingTalk.
    credentials: u32,
    /// When the keeper before this one stopped, as Unix time in milliseconds.
    stopped_at_ms: i64,
}

/// How many credentials are put in at once; the store makes them durable together.
const AT_ONCE: u32 = 256;
/// How long each platform's tokens live.
const LIFE: Duration = Duration::from_hours(2);

/// The moment at which the keeper before this one stopped.
struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// What every credential is made with.
struct Filling {
    store: Arc<SqliteStore>,
    ring: MasterKeyRing,
    base_url: String,
    stopped_at: Timestamp,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let stopped_at = Timestamp::from_unix_ms(arguments.stopped_at_ms);
    let key = std::fs::read_to_string(&arguments.master_key).context("the master key's file")?;
    let filling = Arc::new(Filling {
        store: SqliteStore::open(&arguments.folder, SqliteOptions::new(Arc::new(Stopped(stopped_at))))?,
        ring: MasterKeyRing::new(MasterKey::parse(&key)?, Vec::new()),
        base_url: arguments.base_url,
        stopped_at,
    });
    let mut workers = JoinSet::new();
    for first in 0..AT_ONCE.min(arguments.credentials) {
        let filling = Arc::clone(&filling);
        workers.spawn(async move {
            let mut planned = Vec::new();
            for number in (first..arguments.credentials).step_by(usize::try_from(AT_ONCE)?) {
                planned.push(filling.put(number).await?);
            }
            Ok::<_, anyhow::Error>(planned)
        });
    }
    let mut out = std::io::stdout().lock();
    while let Some(planned) = workers.join_next().await {
        for line in planned?? {
            writeln!(out, "{line}")?;
        }
    }
    filling.store.close();
    Ok(())
}

impl Filling {
    /// Stores one credential with its token; its line of the plan.
    async fn put(&self, number: u32) -> anyhow::Result<String> {
        let credential = self.credential(number)?;
        let slot = self.slot(&credential, number)?;
        let (app, due, held) = (credential.app.to_string(), slot.upkeep.due_at(), slot.held.clone());
        let put = self.store.put_credential(credential, self.line(&app)).await?;
        ensure!(put == Commit::Done, "the store's folder must be a new one");
        let history = HistoryEntry {
            at: self.stopped_at,
            cause: Cause::Timetable,
            ending: Ending::Renewed,
            version: held.as_ref().map(|held| held.version),
            code: None,
        };
        let kept = self.store.commit_kept(&slot, Ended { history, audit: None, refund: None }).await?;
        ensure!(kept == Commit::Done, "the slot is a new one");
        let (due, held) = due.zip(held).context("every slot holds a token and is due")?;
        Ok(format!("{app} {} {}", due.unix_ms(), held.expires_at.unix_ms()))
    }

    fn credential(&self, number: u32) -> anyhow::Result<Credential> {
        let no = RecordId::new(self.stopped_at.before(LIFE), number);
        let is_wechat = number.is_multiple_of(2);
        let (source, app) = if is_wechat {
            (TokenSource::WeChatStable, format!("wx{number:016x}"))
        } else {
            (TokenSource::DingTalk, format!("ding{number:016x}"))
        };
        let place = Credential::proof_place(no);
        Ok(Credential {
            no,
            name: CredentialName::parse(&format!("shop-{number:06}"))?,
            app: AppId::parse(&app)?,
            source,
            base_url: self.base_url.clone(),
            proof: Some(SealedProof::Secret(self.ring.seal(&place, b"0123456789abcdef0123456789abcdef")?)),
            settings: CredentialSettings::default(),
            created_at: self.stopped_at.before(LIFE),
            removed_at: None,
            revision: 0,
        })
    }

    /// A slot somewhere between two renewals, each place as likely as another, due as the rule plans it.
    fn slot(&self, credential: &Credential, number: u32) -> anyhow::Result<Slot> {
        let key = SlotKey { credential: credential.no, customer: None };
        let [first, second] = chances(number);
        let terms = Terms::of(credential.source, &credential.settings);
        let due_after =
            renew_at(&terms, Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(0).after(LIFE), first);
        let gap = due_after.since(Timestamp::from_unix_ms(0));
        let obtained_at = self.stopped_at.before(second.of(gap));
        let token = format!("{number:064x}{number:064x}");
        let mut slot = Slot::empty(key.clone(), obtained_at);
        slot.upkeep = Upkeep::Idle { renew_at: obtained_at.after(gap) };
        slot.held = Some(Held {
            version: TokenVersion(1),
            digest: TokenDigest::of(&token),
            tokens: self.ring.seal(&key.place(), token.as_bytes())?,
            obtained_at,
            expires_at: obtained_at.after(LIFE),
            refresh_expires_at: None,
        });
        Ok(slot)
    }

    fn line(&self, app: &str) -> AuditEntry {
        AuditEntry {
            at: self.stopped_at,
            actor: "bench".to_owned(),
            action: AuditAction::CredentialAdded,
            subject: app.to_owned(),
            address: None,
            request_id: String::new(),
        }
    }
}

/// The same for the same number, so that every run fills alike.
fn chances(number: u32) -> [Chance; 2] {
    let digest = sha256(&number.to_be_bytes());
    let chance = |from: usize| {
        let four = digest.get(from..).and_then(|rest| rest.first_chunk().copied());
        Chance(u32::from_be_bytes(four.unwrap_or_default()))
    };
    [chance(0), chance(4)]
}
