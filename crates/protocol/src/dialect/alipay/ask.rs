//! What a body asks for, and the body that asks for it.

use serde::Serialize;

use super::Endpoint;
use super::fields::Fields;
use crate::outcome::Refusal;
use crate::request::Ask;
use crate::secret::{AccessToken, AuthCode, RefreshToken};

/// Source: Mini Program, `authCode`: "Maximum length: 64 characters".
const AUTH_CODE_CHARS_MAX: usize = 64;
/// Source: Mini Program, `refreshToken` and `accessToken`: "Maximum length: 128 characters".
const TOKEN_CHARS_MAX: usize = 128;

const AUTHORIZATION_CODE: &str = "AUTHORIZATION_CODE";
const REFRESH_TOKEN: &str = "REFRESH_TOKEN";

/// Reads what a plain body asks `endpoint` for. Every known field is checked, also those that the grant
/// type does not need; unknown ones are left alone.
///
/// # Errors
///
/// What [`Fields`] says, [`Refusal::FieldMissing`], [`Refusal::AccessMissing`], or
/// [`Refusal::GrantTypeUnsupported`] for a grant type that nobody knows.
pub(super) fn decode(endpoint: Endpoint, body: &[u8]) -> Result<Ask, Refusal> {
    let fields = Fields::parse(body)?;
    fields.check_extend_info()?;
    match endpoint {
        Endpoint::ApplyToken => apply_token(&fields),
        Endpoint::CancelToken => access_token(&fields).map(Ask::CancelToken),
        Endpoint::UserInfo => access_token(&fields).map(Ask::UserInfo),
    }
}

fn apply_token(fields: &Fields<'_>) -> Result<Ask, Refusal> {
    // The page bounds neither its length nor its characters: what is not one of the two values is unknown.
    let grant_type = fields.any_text("grantType")?.ok_or(Refusal::FieldMissing)?;
    let code = fields.text("authCode", AUTH_CODE_CHARS_MAX)?.map(|code| AuthCode::new(code.to_owned()));
    let refresh =
        fields.text("refreshToken", TOKEN_CHARS_MAX)?.map(|token| RefreshToken::new(token.to_owned()));
    match grant_type {
        AUTHORIZATION_CODE => code.map(Ask::ExchangeCode).ok_or(Refusal::FieldMissing),
        REFRESH_TOKEN => refresh.map(Ask::Refresh).ok_or(Refusal::FieldMissing),
        _ => Err(Refusal::GrantTypeUnsupported),
    }
}

fn access_token(fields: &Fields<'_>) -> Result<AccessToken, Refusal> {
    let token = fields.text("accessToken", TOKEN_CHARS_MAX)?.ok_or(Refusal::AccessMissing)?;
    Ok(AccessToken::new(token.to_owned()))
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct AskBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
}

/// Writes the body that asks for `ask`, and says where to; `None` if the family has no such call.
pub(super) fn encode(ask: &Ask) -> Option<(Endpoint, Vec<u8>)> {
    let nothing = AskBody::default();
    let (endpoint, body) = match ask {
        Ask::ExchangeCode(code) => {
            let grant_type = Some(AUTHORIZATION_CODE);
            (Endpoint::ApplyToken, AskBody { grant_type, auth_code: Some(code.expose()), ..nothing })
        }
        Ask::Refresh(token) => {
            let grant_type = Some(REFRESH_TOKEN);
            (Endpoint::ApplyToken, AskBody { grant_type, refresh_token: Some(token.expose()), ..nothing })
        }
        Ask::CancelToken(token) => {
            (Endpoint::CancelToken, AskBody { access_token: Some(token.expose()), ..nothing })
        }
        Ask::UserInfo(token) => {
            (Endpoint::UserInfo, AskBody { access_token: Some(token.expose()), ..nothing })
        }
        Ask::AppToken { .. }
        | Ask::PlatformAddresses
        | Ask::ClearQuota(_)
        | Ask::QuotaOf { .. }
        | Ask::Ticket { .. } => return None,
    };
    Some((endpoint, serde_json::to_vec(&body).ok()?))
}
