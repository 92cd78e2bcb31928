//! WeChat and DingTalk: callers that prove themselves by a secret.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use mintkeep_protocol::dialect::{AnswerContext, dingtalk, wechat};
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::keep::consumer::{Consumer, Verb};
use mintkeep_protocol::outcome::{Granted, Outcome, Refusal};
use mintkeep_protocol::request::{Ask, Call, Caller, ClientProof};
use mintkeep_web::arrival::Arrival;
use mintkeep_web::note::AnswerNote;

use super::usable::{told, usable};
use super::{DropIn, copy, note, shape};
use crate::roster::Account;

/// Decode, do, encode.
pub(super) async fn answer(
    desk: &Arc<DropIn>,
    dialect: Dialect,
    request: &Request<Bytes>,
    (refused, arrival): (Option<Outcome>, &Arrival),
) -> (Response<Bytes>, AnswerNote) {
    let is_wechat = dialect == Dialect::WeChat;
    let mut app = None;
    let decoded = match refused {
        Some(outcome) => Err(outcome),
        None if is_wechat => wechat::decode_request(request).map_err(Outcome::Refused),
        None => dingtalk::decode_request(request).map_err(Outcome::Refused),
    };
    let outcome = match decoded {
        Ok(call) => done(desk, dialect, (call, &mut app), arrival).await,
        Err(outcome) => outcome,
    };
    let app = app.map(|id| shape(dialect, &id));
    let context = AnswerContext {
        path: request.uri().path(),
        now: desk.now(),
        request_id: arrival.id,
        app: app.as_ref(),
        profile: None,
    };
    let response = if is_wechat {
        wechat::encode_response(&outcome, &context)
    } else {
        dingtalk::encode_response(&outcome, &context)
    };
    (response, note(dialect, &outcome))
}

/// The proof first, so that a stranger learns nothing of what is kept here.
async fn done(
    desk: &Arc<DropIn>,
    dialect: Dialect,
    (call, app): (Call, &mut Option<AppId>),
    arrival: &Arrival,
) -> Outcome {
    let Caller::Client { id, proof } = call.caller else {
        return Outcome::Refused(Refusal::ApiUnknown);
    };
    *app = Some(id.clone());
    let consumer = match proof {
        ClientProof::Secret(secret) => desk
            .keeper
            .consumer_of_drop_in(secret.expose())
            .or_else(|| desk.keeper.consumer_of_key(secret.expose()))
            .ok_or(Refusal::ProofInvalid),
        ClientProof::Unusable(refusal) => Err(refusal),
        ClientProof::Signature(_) => Err(Refusal::ProofInvalid),
    };
    let known = consumer.and_then(|consumer| {
        let account = desk.account(dialect, &id, (&consumer, Verb::Read));
        account.map(|account| (consumer, account)).ok_or(Refusal::ClientUnknown)
    });
    let (consumer, account) = match known {
        Ok(known) => known,
        Err(refusal) => return Outcome::Refused(desk.strangers(refusal, (&id, arrival))),
    };
    match call.ask {
        Err(refusal) => Outcome::Refused(refusal),
        Ok(Ask::AppToken { pool: _, force }) => give(desk, &account, (&consumer, arrival), force).await,
        Ok(
            Ask::ExchangeCode(_)
            | Ask::Refresh(_)
            | Ask::CancelToken(_)
            | Ask::UserInfo(_)
            | Ask::PlatformAddresses
            | Ask::ClearQuota(_)
            | Ask::QuotaOf { .. }
            | Ask::Ticket { .. },
        ) => Outcome::Refused(Refusal::ApiUnknown),
    }
}

/// Whichever endpoint was asked, the token is the one that the credential has. Our own trouble is the
/// dialect's temporary one.
async fn give(
    desk: &Arc<DropIn>,
    account: &Account,
    (consumer, arrival): (&Consumer, &Arrival),
    is_forced: bool,
) -> Outcome {
    let Ok(leaf) = desk.token(account, None, (consumer, arrival), is_forced).await else {
        return Outcome::Unknown;
    };
    let now = desk.now();
    let Some(kept) = leaf.good(now) else { return Outcome::Unknown };
    let usable = usable(kept.left(now), &leaf.upkeep, &account.terms, now);
    let margin = std::time::Duration::from_secs(u64::from(consumer.margin_floor_s));
    Outcome::Granted(Granted::AppToken { token: copy(&kept.access), expires_in: told(usable, margin) })
}
