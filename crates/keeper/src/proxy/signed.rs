//! Mini Program and AlipayHK: the customer's token goes into a call's body, and the whole call is signed with
//! the credential's own key.
//!
//! A signature covers every byte of its body, so nothing streams here: bodies are bounded, both ways. What
//! comes back is checked against the platform's key, and decrypted where the credential encrypts.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use mintkeep_protocol::dialect::alipay;
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::plan::Denial;
use mintkeep_protocol::keep::slot::Trouble;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::problem::Problem;

use super::{
    BODY_WAIT_MAX, Call, Proxy, broke_off, count_repeat, headers, not_proxied, target, unread, wrong_method,
};
use crate::admin::By;
use crate::routes::{Access, unavailable};
use crate::shelf::Kept;
use crate::wire;

/// Longest body of a request, and of an answer, in bytes: as much as is held in memory for one call.
const SIGNED_BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long an answer's body may take after its head.
const ANSWER_WAIT_MAX: std::time::Duration = BODY_WAIT_MAX;

/// Whose token a call takes, and the platform's path of it.
///
/// The platform's own token endpoint is not reached this way: with the credential's signature it would hand a
/// consumer the refresh tokens that stay here.
pub(super) fn admit<'p>(method: &Method, path: &'p str) -> Result<(Option<CustomerId>, &'p str), Problem> {
    let Some((customer, path)) = target::split_customer(path) else {
        let detail = "call /proxy/{credential}/{customer}/PATH: the token is a customer's";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "path-illegal", "Whose token?", detail));
    };
    if target::names(path, "applyToken") {
        let detail =
            "exchange a code by POST /v1/exchanges/{credential}; tokens are renewed by the keeper itself";
        return Err(not_proxied(detail));
    }
    if *method != Method::POST {
        return Err(wrong_method("every call of this platform is a POST"));
    }
    Ok((Some(customer), path))
}

/// The platform's call that ends a customer's access token and its refresh token.
const CANCEL: &str = "cancelToken";

fn may_forget(access: &Access) -> bool {
    access.consumer.may(Verb::Forget, &access.account.credential.name)
}

impl Proxy {
    pub(super) async fn pass_signed(
        &self,
        call: &Call,
        body: Body,
        arrival: &Arrival,
    ) -> Result<Response, Problem> {
        let ends_grant = target::names(call.head.uri.path(), CANCEL);
        if ends_grant && !may_forget(&call.access) {
            let detail = "it ends the customer's grant: the consumer needs the verb `forget` as well";
            return Err(not_proxied(detail));
        }
        let body = read(body).await?;
        let leaf = self.token(call).await?;
        let kept = self.good(&leaf)?;
        let mut answer = self.make(call, kept, &body).await?;
        if alipay::says_token_is_dead(answer.body())
            && let Some(next) = self.successor(call, kept.digest).await
        {
            count_repeat();
            answer = self.make(call, self.good(&next)?, &body).await?;
        }
        if ends_grant && alipay::says_done(answer.body()) {
            self.forget(call, arrival).await;
        }
        Ok(answer.map(Body::from))
    }

    /// Drops the tokens that the platform has cancelled, so that nobody is handed them.
    async fn forget(&self, call: &Call, arrival: &Arrival) {
        let (Access { consumer, account }, Some(customer)) = (&call.access, &call.customer) else { return };
        let by = By::consumer(consumer, arrival);
        let forgotten = self.keeper.forget(account, customer, (&consumer.name, &by)).await;
        if let Err(error) = forgotten {
            let credential = account.credential.name.as_str();
            tracing::warn!(credential, %customer, %error, "a cancelled token is kept until it is reported");
        }
    }

    /// Makes the call.
    async fn make(&self, call: &Call, kept: &Kept, body: &[u8]) -> Result<http::Response<Bytes>, Problem> {
        let body = alipay::put_token(body, &kept.access).map_err(|fault| {
            let title = "The body can't take the token";
            Problem::new(StatusCode::BAD_REQUEST, "body-refused", title, fault.to_string())
        })?;
        let target = call.head.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let signed = self.sign(call, (target.clone(), body)).await?;
        let (head, body) = self.send(call, dressed(call, signed)).await?.into_parts();
        let body = answer_body(body).await?;
        self.prove(call, target, http::Response::from_parts(head, body)).await
    }

    async fn sign(&self, call: &Call, what: (PathAndQuery, Bytes)) -> Result<Request<Bytes>, Problem> {
        let (keeper, account) = (Arc::clone(&self.keeper), Arc::clone(&call.access.account));
        let fresh = (keeper.clock.now(), keeper.draw());
        let work = move || wire::sign_call(&account.credential, account.proof(&keeper.seals)?, what, fresh);
        let signed = self.keeper.tasks.spawn_blocking(work).await.map_err(|_busy| busy())?;
        signed.map_err(|because| self.out_of_order(because))
    }

    /// The answer as it goes back: the platform's own, and readable.
    async fn prove(
        &self,
        call: &Call,
        target: PathAndQuery,
        answer: http::Response<Bytes>,
    ) -> Result<http::Response<Bytes>, Problem> {
        let (keeper, account) = (Arc::clone(&self.keeper), Arc::clone(&call.access.account));
        let received = answer.clone();
        let work = move || {
            let proof = account.proof(&keeper.seals)?;
            Ok(wire::open_answer(&account.credential, proof, &target, &received))
        };
        let opened = self.keeper.tasks.spawn_blocking(work).await.map_err(|_busy| unproved())?;
        let plain = opened.map_err(|because| self.out_of_order(because))?.ok_or_else(unproved)?;
        let (mut head, _) = answer.into_parts();
        headers::clean_answer(&mut head.headers);
        if head.headers.remove(alipay::ENCRYPT).is_some() {
            // It is the ciphertext that was signed, and the consumer never sees that.
            head.headers.remove(alipay::SIGNATURE);
            head.headers.remove(CONTENT_LENGTH);
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
        }
        Ok(http::Response::from_parts(head, plain))
    }

    /// The credential can't sign: for its operator to mend.
    fn out_of_order(&self, because: Trouble) -> Problem {
        unavailable(Denial { because, retry_at: None }, self.keeper.clock.now())
    }
}

/// The signed request, with what else the caller's headers say, at the platform's full URL.
fn dressed(call: &Call, signed: Request<Bytes>) -> Request<Body> {
    let (signed, body) = signed.into_parts();
    let mut head = call.head.clone();
    head.headers.remove(alipay::ENCRYPT);
    head.headers.extend(signed.headers);
    Request::from_parts(head, Body::from(body))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let reading = Limited::new(body, SIGNED_BODY_BYTES_MAX).collect();
    let read = tokio::time::timeout(BODY_WAIT_MAX, reading).await;
    let read = read.map_err(|_late| unread("send the whole body without long pauses"))?;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_none() {
            return unread("it broke off: send the whole body");
        }
        let detail = "a call that is signed has at most 1 MiB";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-refused", "The body was not taken", detail)
    })
}

async fn answer_body(body: Body) -> Result<Bytes, Problem> {
    let reading = Limited::new(body, SIGNED_BODY_BYTES_MAX).collect();
    let read = tokio::time::timeout(ANSWER_WAIT_MAX, reading).await.map_err(|_late| broke_off())?;
    read.map(http_body_util::Collected::to_bytes).map_err(|_broken_or_too_long| broke_off())
}

fn busy() -> Problem {
    let detail = "too many calls wait for their signatures; nothing was sent";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "keeper-busy", "Too much at once", detail);
    problem.retry_after(std::time::Duration::from_secs(1))
}

fn unproved() -> Problem {
    let detail =
        "its answer does not bear the platform's signature; it is not known whether the call took effect";
    Problem::new(StatusCode::BAD_GATEWAY, "platform-unproved", "Not the platform's answer", detail)
}
