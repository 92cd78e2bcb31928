//! Code exchanges, as every store must keep them.

use mintkeep_protocol::crypto::Sealed;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::exchange::{Exchange, ExchangeStage};
use mintkeep_protocol::keep::slot::{HolderId, LeaseFence, Slot, TokenVersion, Trouble};
use mintkeep_protocol::port::keeper_store::{Commit, Presented};
use tokio::task::JoinSet;

use super::{
    Both, account, audited, credential, debit, ended, exchange, full_slot, intent, key, leased, line, stored,
    told,
};
use crate::sample::{at, audit};

async fn found(store: &Both, exchange: &Exchange) -> (String, i64) {
    let found = store.exchange(&exchange.key).await.unwrap().unwrap();
    told(&found, found.revision)
}

fn done() -> ExchangeStage {
    ExchangeStage::Done { customer: CustomerId::parse("c").unwrap(), version: TokenVersion(4) }
}

fn failed() -> ExchangeStage {
    ExchangeStage::Failed { trouble: Trouble::InDoubt, code: Some("USED_CODE".into()) }
}

pub async fn of_many_who_exchange_one_code_one_begins(store: Both) {
    let unknown = store.take_exchange(&exchange(1, 1), at(-1)).await.unwrap();
    assert_eq!(unknown, Commit::Lost, "the credential is not there");
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    let mut racers = JoinSet::new();
    for racer in 0..50 {
        let store = store.clone();
        racers.spawn(async move {
            let mine =
                Exchange { stage: ExchangeStage::Open { by: Some(HolderId(racer)) }, ..exchange(1, 1) };
            (told(&mine, 1), store.take_exchange(&mine, at(-1)).await.unwrap())
        });
    }
    let raced = racers.join_all().await;
    let winners: Vec<_> = raced.into_iter().filter(|(_, commit)| *commit == Commit::Done).collect();
    assert_eq!(winners.len(), 1, "one winner");
    assert_eq!(found(&store, &exchange(1, 1)).await, winners[0].0);
    assert!(store.exchange(&exchange(1, 2).key).await.unwrap().is_none(), "another code is another exchange");
}

pub async fn an_exchange_is_presented_answered_and_put_off_under_its_guards(store: Both) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    let mut mine = exchange(1, 1);
    store.take_exchange(&mine, at(-1)).await.unwrap();
    let behind = Exchange { intent: Some(intent(1, None)), ..mine.clone() };
    assert_eq!(store.present_code(&behind, Some(debit(5))).await.unwrap(), Presented::Lost);
    mine = Exchange { revision: 1, ..behind };
    assert_eq!(store.present_code(&mine, Some(debit(0))).await.unwrap(), Presented::OverQuota);
    assert_eq!(store.present_code(&mine, Some(debit(1))).await.unwrap(), Presented::Done);
    assert_eq!(store.calls(&account(1)).await.unwrap(), 1);
    assert_eq!(found(&store, &mine).await, told(&mine, 2));

    let answer = |bytes: &[u8]| Sealed::from_bytes(bytes.to_vec());
    let keep = |fence, bytes| store.keep_code_answer(&mine.key, LeaseFence(fence), answer(bytes));
    assert_eq!(keep(2, b"wrong").await.unwrap(), Commit::Lost);
    assert_eq!(keep(1, b"mine").await.unwrap(), Commit::Done);
    assert_eq!(keep(1, b"again").await.unwrap(), Commit::Lost);
    let answered = Exchange { intent: Some(intent(1, Some(b"mine"))), ..mine.clone() };
    assert_eq!(found(&store, &mine).await, told(&answered, 3));

    let over = Exchange { intent: None, stage: failed(), revision: 2, ..mine.clone() };
    let refund = Some(account(1));
    let lost = store.put_off_exchange(&over, refund.clone(), Some(audit("behind"))).await.unwrap();
    assert_eq!((lost, store.calls(&account(1)).await.unwrap()), (Commit::Lost, 1));
    let over = Exchange { revision: 3, ..over };
    let put = store.put_off_exchange(&over, refund, Some(audit("failed"))).await.unwrap();
    assert_eq!((put, store.calls(&account(1)).await.unwrap()), (Commit::Done, 0));
    assert_eq!(found(&store, &mine).await, told(&over, 4));
    assert_eq!(audited(&store).await, ["added", "failed"]);
}

pub async fn an_exchange_and_the_slot_that_it_fills_are_committed_both_or_neither(store: Both) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    let mine = exchange(1, 1);
    store.take_exchange(&mine, at(-1)).await.unwrap();
    let bought = Exchange { stage: done(), revision: 1, ..mine.clone() };
    let slot = full_slot(key(1, Some("c")));

    let behind = Exchange { revision: 0, ..bought.clone() };
    assert_eq!(store.commit_exchange(&behind, &slot, ended(1)).await.unwrap(), Commit::Lost);
    assert!(store.slot(&slot.key).await.unwrap().is_none(), "no slot without its exchange");
    let ahead = Slot { revision: 1, ..slot.clone() };
    assert_eq!(store.commit_exchange(&bought, &ahead, ended(1)).await.unwrap(), Commit::Lost);
    assert_eq!(found(&store, &mine).await, told(&mine, 1), "no exchange without its slot");

    assert_eq!(store.commit_exchange(&bought, &slot, ended(1)).await.unwrap(), Commit::Done);
    assert_eq!(found(&store, &mine).await, told(&bought, 2));
    let filled = stored(&store, &slot.key).await;
    assert_eq!(told(&filled, filled.revision), told(&slot, 1));
    assert_eq!(store.history(&slot.key).await.unwrap(), [line(1)]);
    assert_eq!(audited(&store).await, ["added", "kept 1"]);
}

pub async fn an_exchange_ends_the_lease_of_a_renewal_in_its_slot(store: Both) {
    let renewing = leased(&store).await;
    store.take_exchange(&exchange(1, 1), at(-1)).await.unwrap();
    let bought = Exchange { stage: done(), revision: 1, ..exchange(1, 1) };
    let filled = Slot { revision: renewing.revision, ..full_slot(renewing.key.clone()) };
    assert_eq!(store.commit_exchange(&bought, &filled, ended(1)).await.unwrap(), Commit::Done);
    assert_eq!(store.commit_kept(&renewing, ended(2)).await.unwrap(), Commit::Lost);
}

pub async fn what_was_presented_is_listed_until_it_ends_and_all_else_is_forgotten_after_a_while(store: Both) {
    store.put_credential(credential(1, "mine"), audit("added")).await.unwrap();
    let begun = |code: u8, begun_ms: i64| Exchange { begun_at: at(begun_ms), ..exchange(1, code) };
    for exchange in [begun(1, 0), begun(2, 0), begun(3, 10), begun(4, 0), begun(5, 10)] {
        store.take_exchange(&exchange, at(-1)).await.unwrap();
    }
    let presented = Exchange { intent: Some(intent(1, None)), revision: 1, ..begun(1, 0) };
    store.present_code(&presented, None).await.unwrap();
    for over in [begun(2, 0), begun(3, 10)] {
        let over = Exchange { stage: failed(), revision: 1, ..over };
        store.put_off_exchange(&over, None, None).await.unwrap();
    }
    let open = store.open_exchanges(9).await.unwrap();
    assert_eq!(open.iter().map(|exchange| exchange.key.code[0]).collect::<Vec<_>>(), [1]);
    assert!(store.open_exchanges(0).await.unwrap().is_empty());

    assert_eq!(store.take_exchange(&begun(6, 20), at(10)).await.unwrap(), Commit::Done);
    let mut there = Vec::new();
    for code in 1..=6 {
        there.push(store.exchange(&begun(code, 0).key).await.unwrap().is_some());
    }
    assert_eq!(there, [true, false, true, false, true, true], "only what is not under way and began before");
}
