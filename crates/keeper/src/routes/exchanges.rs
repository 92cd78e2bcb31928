//! `/v1/exchanges`: a customer's code for the customer's token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use mintkeep_protocol::keep::consumer::Verb;
use mintkeep_protocol::keep::slot::Trouble;
use mintkeep_protocol::secret::AuthCode;
use mintkeep_web::problem::Problem;
use serde::Deserialize;

use super::access::{Access, json, not_read, still_good};
use super::tokens::TokenBody;
use crate::exchanger::ExchangeFailure;
use crate::keeper::Keeper;
use crate::reader::Reading;

/// Longest code that is looked at, in bytes: the page's 64 with room for platforms that are generous.
const CODE_BYTES_MAX: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeBody {
    auth_code: String,
}

pub(super) async fn exchange(
    State(keeper): State<Arc<Keeper>>,
    Path(credential): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let access = Access::grant(&keeper, &headers, (Verb::Exchange, &credential))?;
    let ExchangeBody { auth_code } = json(&keeper, body).await?;
    let code = AuthCode::new(auth_code);
    if !may_be_code(code.expose()) {
        let detail = "auth_code is what the mini program got from getAuthCode: letters and digits";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "code-malformed", "The code is malformed", detail));
    }
    let consumer = &access.consumer.name;
    let exchanged = keeper.exchange(&access.account, code, consumer).await.map_err(problem)?;
    let reading = Reading { customer: Some(&exchanged.customer), min_ttl: Duration::ZERO, consumer };
    let leaf = keeper.read(&access.account, &reading).await;
    let now = keeper.clock.now();
    let leaf = leaf.map_err(|failure| not_read(failure, now))?;
    let kept = still_good(&leaf, now)?;
    Ok(TokenBody::of(kept, now).for_customer(&exchanged.customer).into_response())
}

/// Whether a platform may have issued this: the characters are those that an issuer of ours takes in a code.
fn may_be_code(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= CODE_BYTES_MAX && text.bytes().all(is_plain)
}

fn problem(failure: ExchangeFailure) -> Problem {
    match failure {
        ExchangeFailure::NoCustomers => Problem::new(
            StatusCode::NOT_FOUND,
            "no-customers",
            "This credential has no customers",
            "read its own token by GET /v1/tokens/{credential}",
        ),
        ExchangeFailure::NotYours => Problem::new(
            StatusCode::CONFLICT,
            "code-used",
            "The code was used",
            "another consumer exchanged it; get a new code from the customer",
        ),
        ExchangeFailure::Later(because) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "exchange-later",
            "Not now",
            format!("{because}: send the same code again"),
        )
        .retry_after(Duration::from_secs(2)),
        ExchangeFailure::Ended { because: Trouble::InDoubt, .. } => Problem::new(
            StatusCode::CONFLICT,
            "code-in-doubt",
            "The code's exchange is in doubt",
            "the platform's answer is lost; get a new code from the customer",
        ),
        ExchangeFailure::Ended { because, code } => {
            let said = code.map_or_else(String::new, |code| format!(" (the platform says {code})"));
            // A code is refused as a refresh token is, and there is none yet.
            let is_refused = because == Trouble::RefreshRefused;
            let because = if is_refused { "the code is not good".to_owned() } else { because.to_string() };
            let detail = format!("{because}{said}: get a new code from the customer");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "code-refused", "The code was refused", detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: Mini Program, `authCode`: "Characters not allowed: special characters such as @ # ?".
    #[test]
    fn a_code_is_of_the_characters_that_the_drop_in_endpoints_take() {
        let longest = "x".repeat(CODE_BYTES_MAX);
        for code in ["2810111301lGZcM9CjlF91WH00039190xxxx", "a.b-c_d", &longest] {
            assert!(may_be_code(code), "{code}");
        }
        for none in ["", "a b", "a@b", "a#b", "a?b", "\u{e9}", &format!("{longest}x")] {
            assert!(!may_be_code(none), "{none}");
        }
    }

    #[test]
    fn a_code_that_the_platform_refuses_is_called_a_code() {
        let ended = |because| problem(ExchangeFailure::Ended { because, code: Some("USED_CODE".into()) });
        let refused = ended(Trouble::RefreshRefused);
        assert_eq!(
            refused.detail,
            "the code is not good (the platform says USED_CODE): get a new code from the customer"
        );
        assert!(ended(Trouble::Refused).detail.starts_with("the platform refused the request (the platform"));
    }
}
