//! Who signed a request.

use std::cell::LazyCell;
use std::sync::Arc;

use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::ident::AppId;
use mintkeep_protocol::keep::consumer::{Consumer, Verb};
use mintkeep_protocol::outcome::Refusal;
use mintkeep_protocol::request::RequestSignature;

use super::DropIn;
use crate::roster::Account;

/// A consumer that signed, with which of its keys, and the credential that it may use.
pub(super) struct Signer {
    pub consumer: Arc<Consumer>,
    pub key: AppKey,
    pub account: Arc<Account>,
}

/// Finds the consumer whose key made the signature: of all that may use the app's credential, each key of
/// the version that is named.
///
/// Off the event loop with all of it: whoever asks has proved nothing yet, and there may be many credentials.
pub(super) async fn find_signer(
    desk: &Arc<DropIn>,
    gateway: Gateway,
    app: &AppId,
    signature: RequestSignature,
) -> Result<Signer, Refusal> {
    let (there, dialect, app) = (Arc::clone(desk), gateway.dialect(), app.clone());
    let verify = move || {
        let roster = &there.keeper.roster;
        let first = roster.account_of_app(dialect, &app)?;
        let further = || roster.accounts_of_app(dialect, &app).collect();
        let is_named = |key: &&AppKey| signature.key_version.is_none_or(|version| version == key.version);
        let holds = |key: &&AppKey| key.public.verify(&signature.signed_text, &signature.signature);
        who_may_sign(roster.consumers(), &first, further).into_iter().find_map(|(consumer, account)| {
            let keys = &consumer.drop_in_keys.as_ref()?.consumer;
            let key = keys.iter().filter(is_named).find(holds)?.clone();
            Some(Signer { consumer, key, account })
        })
    };
    let signer = desk.keeper.tasks.spawn_blocking(verify).await.map_err(|_busy| Refusal::RateLimited)?;
    signer.ok_or(Refusal::ProofInvalid)
}

/// The consumers that have keys, each with the credential of an app that it may exchange with, else read from: of
/// several the one that was added first.
///
/// `first` is the first of the app's. `further` are all of them, and looks at every credential of the keeper: it is
/// asked once, and only for a consumer that may not use `first`.
fn who_may_sign(
    consumers: Vec<Arc<Consumer>>,
    first: &Arc<Account>,
    further: impl FnOnce() -> Vec<Arc<Account>>,
) -> Vec<(Arc<Consumer>, Arc<Account>)> {
    let further = LazyCell::new(|| {
        let mut accounts = further();
        accounts.sort_by_key(|account| account.credential.no);
        accounts
    });
    let usable = |consumer: &Consumer, verb| {
        let may = |account: &&Arc<Account>| consumer.may(verb, &account.credential.name);
        Some(first).filter(may).or_else(|| further.iter().find(may)).cloned()
    };
    let of_consumer = |consumer: Arc<Consumer>| {
        let _keys = consumer.drop_in_keys.as_ref()?;
        let account = usable(&consumer, Verb::Exchange).or_else(|| usable(&consumer, Verb::Read))?;
        Some((consumer, account))
    };
    consumers.into_iter().filter_map(of_consumer).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use mintkeep_protocol::crypto::Sealed;
    use mintkeep_protocol::ident::{ConsumerName, CredentialName, RecordId};
    use mintkeep_protocol::keep::consumer::{CredentialScope, DropInKeys, KeyDigest};
    use mintkeep_protocol::keep::credential::{Credential, CredentialSettings, TokenSource};
    use mintkeep_protocol::time::Timestamp;

    use super::*;

    fn account(no: i64, name: &str) -> Arc<Account> {
        Arc::new(Account::new(Credential {
            no: RecordId::from_number(no),
            name: CredentialName::parse(name).unwrap(),
            app: AppId::parse("MINI1").unwrap(),
            source: TokenSource::MiniProgram,
            base_url: "https://wallet.example".to_owned(),
            proof: None,
            settings: CredentialSettings::default(),
            created_at: Timestamp::default(),
            removed_at: None,
            revision: 1,
        }))
    }

    fn consumer((name, has_keys): (&str, bool), credential: &str, verbs: &[Verb]) -> Arc<Consumer> {
        let keys = DropInKeys { consumer: vec![], answers: Sealed::from_bytes(vec![]) };
        Arc::new(Consumer {
            no: RecordId::from_number(1),
            name: ConsumerName::parse(name).unwrap(),
            key: KeyDigest::of(name),
            drop_in_secret: None,
            drop_in_keys: has_keys.then_some(keys),
            credentials: CredentialScope::Named(vec![CredentialName::parse(credential).unwrap()]),
            verbs: verbs.to_vec(),
            margin_floor_s: 0,
            created_at: Timestamp::default(),
            revoked_at: None,
            revision: 1,
        })
    }

    /// Who may sign, each with its credential, and how often all credentials were looked at for it.
    fn found(consumers: Vec<Arc<Consumer>>) -> (Vec<(String, String)>, u32) {
        let first = account(1, "first");
        let walks = Cell::new(0);
        let further = || {
            walks.set(u32::saturating_add(walks.get(), 1));
            vec![account(3, "third"), account(2, "second"), Arc::clone(&first)]
        };
        let told = who_may_sign(consumers, &first, further);
        let name = |(consumer, account): (Arc<Consumer>, Arc<Account>)| {
            (consumer.name.to_string(), account.credential.name.to_string())
        };
        (told.into_iter().map(name).collect(), walks.get())
    }

    #[test]
    fn all_credentials_are_looked_at_once_and_only_for_a_consumer_with_keys_that_needs_it() {
        let (exchange, read) = (&[Verb::Exchange][..], &[Verb::Read][..]);
        let strangers = || (0..50).map(|n| consumer((&format!("s{n}"), false), "elsewhere", &Verb::ALL));
        assert_eq!(found(strangers().collect()), (vec![], 0), "nobody has keys");

        let first = consumer(("a", true), "first", exchange);
        let told = found(strangers().chain([first]).collect());
        assert_eq!(told, (vec![("a".to_owned(), "first".to_owned())], 0));

        let others = (0..50).map(|n| consumer((&format!("o{n}"), true), "elsewhere", &Verb::ALL));
        let of_app = [
            consumer(("b", true), "second", exchange),
            consumer(("c", true), "third", read),
            consumer(("d", true), "third", &[Verb::Report]),
        ];
        let told = found(others.chain(of_app).collect());
        let expected = [("b", "second"), ("c", "third")].map(|(who, what)| (who.to_owned(), what.to_owned()));
        assert_eq!(told, (expected.to_vec(), 1));
    }
}
