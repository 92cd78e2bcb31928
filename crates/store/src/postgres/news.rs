//! What other replicas are told at once, by LISTEN and NOTIFY, instead of by their next look at the record.
//!
//! Only what an operator changed, what was revoked and what was refreshed by force: a replica that holds the
//! older record would go on honouring it. A new token in its turn is no news: whoever presents it proves that the
//! record changed. And PostgreSQL commits transactions that notify one after the other, each with a flush of its
//! own: at 64 clients that left 210 updates a second of 5,700, measured.
//!
//! A notification that is lost costs what it would without: no record is used that was read a second ago.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::ident::{AppId, CustomerId, RecordId, ServiceId};
use mintkeep_protocol::record::{AuditAction, GrantStage, PoolKey};
use mintkeep_protocol::token::TokenKind;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::address::Address;
use super::fault::Fault;
use crate::cache::RecordCache;
use crate::change::{Change, Intent};

/// How long to wait before listening again after the connection broke.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often the server is asked whether it is still there, and how long it may take to say so.
const ASK_EVERY: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Which record changed, as other replicas are told; `None`: they needn't know at once.
pub fn of(intent: &Intent) -> Option<String> {
    match &intent.change {
        Change::PutApp(app) => Some(format!("app {} {}", app.no.number(), app.id.as_str())),
        Change::DeleteApp(app) => Some(format!("deleted {} {}", app.no.number(), app.id.as_str())),
        Change::PutCustomer(customer) => Some(format!("customer {}", customer.id.as_str())),
        Change::AddService(service) | Change::PutService(service) => {
            Some(format!("service {}", service.id.as_str()))
        }
        Change::PutGrant(grant) => {
            matches!(grant.stage, GrantStage::Revoked { .. }).then(|| format!("grant {}", grant.id.number()))
        }
        Change::PutPool(pool) => {
            let action = intent.audit.as_ref().map(|line| line.action);
            let is_forced = pool.forced_at == Some(pool.current.issued_at);
            let is_news = action == Some(AuditAction::TokenRevoked)
                || (action == Some(AuditAction::TokenMinted) && is_forced);
            is_news.then(|| format!("pool {} {}", pool.key.app.number(), pool.key.kind.number()))
        }
        Change::SpendNonce(_)
        | Change::AddPlatformKey(_)
        | Change::ResealPlatformKey { .. }
        | Change::Keeper(_)
        | Change::Nothing => None,
    }
}

/// Drops from the cache what another replica changed. `None`: a newer version says something that we don't know.
fn hear(cache: &RecordCache, told: &str) -> Option<()> {
    let (what, which) = told.split_once(' ')?;
    match what {
        "app" | "deleted" => {
            let (no, id) = which.split_once(' ')?;
            let no = RecordId::from_number(no.parse().ok()?);
            cache.apps.forget(&AppId::parse(id).ok()?);
            cache.apps_by_no.forget(&no);
            if what == "deleted" {
                cache.forget_records_of(no);
            }
        }
        "customer" => cache.customers.forget(&CustomerId::parse(which).ok()?),
        "service" => cache.services.forget(&ServiceId::parse(which).ok()?),
        "grant" => cache.grants.forget(&RecordId::from_number(which.parse().ok()?)),
        "pool" => {
            let (app, kind) = which.split_once(' ')?;
            let app = RecordId::from_number(app.parse().ok()?);
            let kind = TokenKind::from_number(kind.parse().ok()?)?;
            cache.pools.forget(&PoolKey { app, kind });
        }
        _ => return None,
    }
    Some(())
}

/// Listens until it is dropped.
pub struct Ear(JoinHandle<()>);

impl Ear {
    /// Begins to listen.
    pub fn open(address: Address, cache: Arc<RecordCache>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "it ends with the store, and may be cut off anywhere")]
        Self(tokio::spawn(listen(address, cache)))
    }

    /// Ends listening.
    pub fn close(&self) {
        self.0.abort();
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.close();
    }
}

async fn listen(address: Address, cache: Arc<RecordCache>) {
    let mut turn = interval(LISTEN_AGAIN_AFTER);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        if let Err(fault) = listen_once(&address, &cache).await {
            tracing::debug!(%fault, "other replicas can't be heard for now; their changes are seen within a second");
        }
    }
}

async fn listen_once(address: &Address, cache: &Arc<RecordCache>) -> Result<(), Fault> {
    let theirs = cache.clone();
    let heard = Arc::new(move |told: &str| {
        hear(&theirs, told);
    });
    let connected = timeout(address.connect_max(), address.connect(Some(heard))).await;
    let (client, mut connection) = connected.map_err(|_| Fault::Silent)??;
    client.batch_execute("LISTEN mintkeep").await?;
    // What was told before nobody heard here.
    cache.forget_everything();
    while timeout(ASK_EVERY, &mut connection).await.is_err() {
        if timeout(ANSWER_MAX, client.batch_execute("")).await.is_err() {
            connection.abort();
            return Err(Fault::Silent);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use mintkeep_protocol::app::App;
    use mintkeep_protocol::ident::Dialect;
    use mintkeep_protocol::issue::access::empty_pool;
    use mintkeep_protocol::record::{AuditEntry, Pool};
    use mintkeep_protocol::time::Timestamp;
    use mintkeep_protocol::token::Salt;

    use super::*;

    #[test]
    fn a_token_that_ends_another_early_is_news_and_one_in_its_turn_is_none() {
        let (then, now) = (Timestamp::from_unix_ms(1_000), Timestamp::from_unix_ms(2_000));
        let app = App::new(RecordId::from_number(5), AppId::parse("wx1").unwrap(), Dialect::WeChat, then);
        let mut pool = empty_pool(&app, TokenKind::WeChatStable, Salt([0; 16]));
        pool.current.issued_at = now;
        let news = |pool: &Pool, action| {
            let audit = AuditEntry {
                at: now,
                actor: "app wx1".into(),
                action,
                subject: "wx1".into(),
                address: None::<IpAddr>,
                request_id: String::new(),
            };
            of(&Intent { change: Change::put_pool(pool.clone()), app_revision: None, audit: Some(audit) })
        };
        let told = Some(format!("pool 5 {}", TokenKind::WeChatStable.number()));
        for forced_at in [None, Some(then)] {
            let pool = Pool { forced_at, ..pool.clone() };
            assert_eq!(news(&pool, AuditAction::TokenMinted), None, "forced at {forced_at:?}");
            assert_eq!(news(&pool, AuditAction::TokenRevoked), told, "forced at {forced_at:?}");
        }
        assert_eq!(news(&Pool { forced_at: Some(now), ..pool }, AuditAction::TokenMinted), told, "forced");
    }

    #[tokio::test]
    async fn what_is_told_is_forgotten_and_what_is_not_understood_is_left_alone() {
        let cache = RecordCache::new();
        let customer = CustomerId::parse("2160").unwrap();
        let cases = [
            ("app 5 wx 1", false),
            ("app 5 wx1", true),
            ("app wx1", false),
            ("deleted 5 wx1", true),
            ("grant -7", true),
            ("grant seven", false),
            ("pool 5 99", false),
            ("service gateway", true),
            ("weather fine", false),
            ("", false),
        ];
        for (told, is_understood) in cases {
            assert_eq!(hear(&cache, told).is_some(), is_understood, "{told:?}");
        }
        cache.customers.get_or_load(&customer, async { Ok(None) }).await.unwrap();
        hear(&cache, &format!("customer {}", customer.as_str())).unwrap();
        let asked_again = cache
            .customers
            .get_or_load(&customer, async { Err(crate::postgres::fault::unavailable("asked")) });
        assert!(asked_again.await.is_err());
    }
}
