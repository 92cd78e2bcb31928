//! Who is known: credentials by name and number, consumers by key.

use std::sync::{Arc, OnceLock};

use ahash::HashMap;
use arc_swap::ArcSwap;
use mintkeep_protocol::ident::{AppId, ConsumerName, CredentialName, CustomerId, Dialect, RecordId};
use mintkeep_protocol::keep::consumer::{Consumer, KeyDigest, Verb};
use mintkeep_protocol::keep::credential::Credential;
use mintkeep_protocol::keep::semantics::{Holder, Terms};
use mintkeep_protocol::keep::slot::{SlotKey, Trouble};

use crate::seals::Seals;
use crate::sharded::Sharded;
use crate::wire::Proof;

/// A credential with what its platform's column of the semantics table says.
pub struct Account {
    /// The credential.
    pub credential: Credential,
    /// The terms.
    pub terms: Terms,
    /// Opened when it is first needed: parsing a private key costs more than signing with it.
    proof: OnceLock<Proof>,
}

impl Account {
    pub(crate) fn new(credential: Credential) -> Self {
        let terms = Terms::of(credential.source, &credential.settings);
        Self { credential, terms, proof: OnceLock::new() }
    }

    /// What the credential proves its app by. The first time takes a while; not for the event loop.
    pub(crate) fn proof(&self, seals: &Seals) -> Result<&Proof, Trouble> {
        if let Some(open) = self.proof.get() {
            return Ok(open);
        }
        let open = Proof::open(&self.credential, seals)?;
        Ok(self.proof.get_or_init(|| open))
    }

    /// Whether its tokens are its customers'.
    #[must_use]
    pub fn is_per_customer(&self) -> bool {
        self.terms.semantics.holder == Holder::AppAndCustomer
    }

    /// The slot of a customer's tokens, or of the app's own; `None`: the credential's are not such. It has tokens of
    /// its own or of its customers, never both.
    pub(crate) fn slot(&self, customer: Option<&CustomerId>) -> Option<SlotKey> {
        let key = SlotKey { credential: self.credential.no, customer: customer.cloned() };
        (self.is_per_customer() == customer.is_some()).then_some(key)
    }
}

#[derive(Default)]
struct Consumers {
    named: HashMap<ConsumerName, Arc<Consumer>>,
    keys: HashMap<KeyDigest, Arc<Consumer>>,
    drop_in_secrets: HashMap<KeyDigest, Arc<Consumer>>,
}

/// The roster.
pub(crate) struct Roster {
    by_name: Sharded<CredentialName, Account>,
    by_no: Sharded<RecordId, Account>,
    /// Of each app's credentials, the one that was added first.
    by_app: Sharded<(Dialect, AppId), Account>,
    consumers: ArcSwap<Consumers>,
}

impl Roster {
    pub(crate) fn new() -> Self {
        let (by_name, by_no, by_app) = (Sharded::new(), Sharded::new(), Sharded::new());
        Self { by_name, by_no, by_app, consumers: ArcSwap::default() }
    }

    pub(crate) fn account(&self, name: &CredentialName) -> Option<Arc<Account>> {
        self.by_name.get(name)
    }

    pub(crate) fn account_by_no(&self, no: RecordId) -> Option<Arc<Account>> {
        self.by_no.get(&no)
    }

    /// The credential of this app in this dialect; of several, the one that was added first.
    pub(crate) fn account_of_app(&self, dialect: Dialect, app: &AppId) -> Option<Arc<Account>> {
        self.by_app.get(&(dialect, app.clone()))
    }

    /// All credentials of this app in this dialect. Looks at every credential: for when the first will not do.
    pub(crate) fn accounts_of_app(
        &self,
        dialect: Dialect,
        app: &AppId,
    ) -> impl Iterator<Item = Arc<Account>> {
        self.by_no.all().filter(move |account| {
            account.credential.source.dialect() == dialect && account.credential.app == *app
        })
    }

    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        let mut all: Vec<_> = self.by_no.all().collect();
        all.sort_by(|left, right| left.credential.name.cmp(&right.credential.name));
        all
    }

    /// Up to `most` credentials after `after`, by name. Only those are sorted.
    pub(crate) fn accounts_after(&self, after: Option<&CredentialName>, most: u32) -> Vec<Arc<Account>> {
        let is_later = |account: &Arc<Account>| after.is_none_or(|after| account.credential.name > *after);
        let by_name =
            |left: &Arc<Account>, right: &Arc<Account>| left.credential.name.cmp(&right.credential.name);
        let mut found: Vec<_> = self.by_no.all().filter(is_later).collect();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if most < found.len() {
            found.select_nth_unstable_by(most, by_name);
            found.truncate(most);
        }
        found.sort_by(by_name);
        found
    }

    /// Takes a credential in, over an older state of it.
    pub(crate) fn enter(&self, credential: Credential) {
        let account = Arc::new(Account::new(credential));
        let Credential { no, name, revision, .. } = &account.credential;
        let is_older = |present: &Account| present.credential.revision >= *revision;
        if self.by_no.put_unless(no, Arc::clone(&account), is_older).is_ok() {
            // Of two by one name, the later one counts: the other is removed, and its removal is on its way.
            let keeps =
                |present: &Account| (*no, *revision) < (present.credential.no, present.credential.revision);
            // What comes back is the state before, or this one if it is not wanted; neither is needed.
            let _ = self.by_name.put_unless(name, Arc::clone(&account), keeps);
            self.enter_by_app(&account);
        }
    }

    pub(crate) fn strike(&self, credential: &Credential) {
        self.by_no.remove_if(&credential.no, |_| true);
        self.by_name.remove_if(&credential.name, |present| present.credential.no == credential.no);
        let dialect = credential.source.dialect();
        let is_it = |present: &Account| present.credential.no == credential.no;
        if self.by_app.remove_if(&(dialect, credential.app.clone()), is_it).is_some() {
            for other in self.accounts_of_app(dialect, &credential.app) {
                self.enter_by_app(&other);
            }
        }
    }

    fn enter_by_app(&self, account: &Arc<Account>) {
        let Credential { no, revision, source, app, .. } = &account.credential;
        let is_before = |present: &Account| {
            let Credential { no: its_no, revision: its_revision, .. } = &present.credential;
            its_no < no || (its_no == no && its_revision >= revision)
        };
        // What comes back is the state before, or this one if it is not wanted; neither is needed.
        let _ = self.by_app.put_unless(&(source.dialect(), app.clone()), Arc::clone(account), is_before);
    }

    pub(crate) fn consumer(&self, key: &KeyDigest) -> Option<Arc<Consumer>> {
        self.consumers.load().keys.get(key).cloned()
    }

    pub(crate) fn consumer_by_drop_in(&self, secret: &KeyDigest) -> Option<Arc<Consumer>> {
        self.consumers.load().drop_in_secrets.get(secret).cloned()
    }

    pub(crate) fn consumer_by_name(&self, name: &ConsumerName) -> Option<Arc<Consumer>> {
        self.consumers.load().named.get(name).cloned()
    }

    /// Of the consumers that may do this with a credential, the first by name.
    pub(crate) fn consumer_that_may(&self, verb: Verb, credential: &CredentialName) -> Option<Arc<Consumer>> {
        let consumers = self.consumers.load();
        let those = consumers.named.values().filter(|consumer| consumer.may(verb, credential));
        those.min_by(|left, right| left.name.cmp(&right.name)).cloned()
    }

    pub(crate) fn consumers(&self) -> Vec<Arc<Consumer>> {
        let mut all: Vec<_> = self.consumers.load().named.values().cloned().collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }

    /// Takes consumers in: over older states of them, and out where they are revoked.
    pub(crate) fn enroll(&self, changed: &[Consumer]) {
        self.consumers.rcu(|present| {
            let mut named = present.named.clone();
            for consumer in changed {
                let known = named.get(&consumer.name).filter(|known| known.no == consumer.no);
                if known.is_some_and(|known| known.revision >= consumer.revision) {
                    continue;
                }
                if consumer.revoked_at.is_none() {
                    named.insert(consumer.name.clone(), Arc::new(consumer.clone()));
                } else if known.is_some() {
                    named.remove(&consumer.name);
                }
            }
            let keys = named.values().map(|consumer| (consumer.key, Arc::clone(consumer))).collect();
            let drop_in_secrets = named
                .values()
                .filter_map(|consumer| Some((consumer.drop_in_secret?, Arc::clone(consumer))))
                .collect();
            Consumers { named, keys, drop_in_secrets }
        });
    }
}

#[cfg(test)]
mod tests {
    use mintkeep_protocol::keep::consumer::CredentialScope;
    use mintkeep_protocol::keep::credential::{CredentialSettings, TokenSource};
    use mintkeep_protocol::time::Timestamp;

    use super::*;

    #[test]
    fn a_state_that_is_heard_of_late_takes_no_newer_ones_place() {
        let (no, name, app) =
            (RecordId::from_number(1), CredentialName::parse("shop").unwrap(), AppId::parse("wx1").unwrap());
        let credential = |revision: i64| Credential {
            no,
            name: name.clone(),
            app: app.clone(),
            source: TokenSource::WeChatStable,
            base_url: format!("https://{revision}.example"),
            proof: None,
            settings: CredentialSettings::default(),
            created_at: Timestamp::default(),
            removed_at: None,
            revision,
        };
        let consumer = |revision: i64| Consumer {
            no,
            name: ConsumerName::parse("till").unwrap(),
            key: KeyDigest::of("key"),
            drop_in_secret: None,
            drop_in_keys: None,
            credentials: CredentialScope::All,
            verbs: vec![],
            margin_floor_s: 0,
            created_at: Timestamp::default(),
            revoked_at: None,
            revision,
        };
        let roster = Roster::new();
        for revision in [1, 3, 2] {
            roster.enter(credential(revision));
            roster.enroll(&[consumer(revision)]);
        }
        let known =
            [roster.account(&name), roster.account_by_no(no), roster.account_of_app(Dialect::WeChat, &app)];
        for account in known {
            assert_eq!(account.unwrap().credential.base_url, "https://3.example");
        }
        assert_eq!(roster.consumer(&KeyDigest::of("key")).unwrap().revision, 3);

        let no = RecordId::from_number(2);
        roster.enter(Credential { no, ..credential(1) });
        roster.enter(credential(4));
        assert_eq!(
            roster.account(&name).unwrap().credential.no,
            no,
            "of two by one name the later one counts"
        );
    }
}
