//! WeChat and DingTalk: callers that prove themselves by a shared secret or an access token.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use mintkeep_protocol::dialect::{AnswerContext, dingtalk, wechat};
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::outcome::Outcome;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::note::AnswerNote;

use super::Told;
use crate::issuer::{Answered, Issuer};

/// Decode, do, encode.
pub(super) async fn answer(
    issuer: &Arc<Issuer>,
    dialect: Dialect,
    request: &Request<Bytes>,
    (told, arrival): (Option<Told>, &Arrival),
) -> (Response<Bytes>, AnswerNote) {
    let is_wechat = dialect == Dialect::WeChat;
    let decoded =
        || if is_wechat { wechat::decode_request(request) } else { dingtalk::decode_request(request) };
    let profile = told.as_ref().and_then(|told| told.profile);
    let answered = match told {
        Some(told) => Answered { app: None, outcome: *told.outcome },
        None => match decoded() {
            Ok(call) => issuer.answer(dialect, &call, arrival).await,
            Err(refusal) => Answered { app: None, outcome: Outcome::Refused(refusal) },
        },
    };
    let context = AnswerContext {
        path: request.uri().path(),
        now: issuer.now(),
        request_id: arrival.id,
        app: answered.app.as_deref(),
        profile,
    };
    let outcome = &answered.outcome;
    let response = if is_wechat {
        wechat::encode_response(outcome, &context)
    } else {
        dingtalk::encode_response(outcome, &context)
    };
    (response, super::note(dialect, outcome))
}
