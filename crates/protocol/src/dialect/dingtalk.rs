//! DingTalk: `/v1.0/oauth2/accessToken`, its neighbours, and the older `/gettoken` and `/get_jsapi_ticket`.
//!
//! The `/v1.0` endpoints answer errors with real HTTP statuses and a JSON object; the older ones answer
//! everything with 200. Source: DingTalk "Obtain the access token of an internal app";
//! `docs/dialect/dingtalk.md` says what we decided where the page is silent.

mod client;
mod codes;

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Method, Request, Response, StatusCode};
use serde::Serialize;

pub use client::{DEAD_TOKEN_BODY_BYTES_MAX, decode_response, encode_request, put_token, says_token_is_dead};
pub use codes::{Fault, fault, legacy_code, outcome_of_code};

use crate::dialect::AnswerContext;
use crate::dialect::json::{self, Object};
use crate::dialect::query::Query;
use crate::ident::AppId;
use crate::outcome::{Granted, Outcome, Refusal};
use crate::request::{Ask, Call, Caller, ClientProof};
use crate::secret::{AccessToken, AuthCode, ClientSecret, RefreshToken};
use crate::token::TokenKind;

/// The one header that a token is taken from: "a query parameter or Bearer does not count".
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-acs-dingtalk-access-token");

/// Where the platform repeats the `requestid` of every answer.
const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-acs-request-id");

const CONTENT_TYPE_VALUE: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");

/// The organisation that every user token belongs to. Ours: an issuer serves one.
const CORP_ID: &str = "dingmintkeep";

/// The endpoints of this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1.0/oauth2/accessToken`.
    AccessToken,
    /// `POST /v1.0/oauth2/{corpId}/token`.
    CorpToken,
    /// `POST /v1.0/oauth2/userAccessToken`.
    UserAccessToken,
    /// `POST /v1.0/oauth2/jsapiTickets`.
    JsapiTickets,
    /// `GET /gettoken`.
    LegacyToken,
    /// `GET /get_jsapi_ticket`.
    LegacyTicket,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AccessToken,
        Self::CorpToken,
        Self::UserAccessToken,
        Self::JsapiTickets,
        Self::LegacyToken,
        Self::LegacyTicket,
    ];

    /// The endpoint at `path`. Any `corpId` is taken: an issuer knows apps, not organisations.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/v1.0/oauth2/accessToken" => Some(Self::AccessToken),
            "/v1.0/oauth2/userAccessToken" => Some(Self::UserAccessToken),
            "/v1.0/oauth2/jsapiTickets" => Some(Self::JsapiTickets),
            "/gettoken" => Some(Self::LegacyToken),
            "/get_jsapi_ticket" => Some(Self::LegacyTicket),
            _ => {
                let corp_id = path.strip_prefix("/v1.0/oauth2/")?.strip_suffix("/token")?;
                AppId::parse(corp_id).is_ok().then_some(Self::CorpToken)
            }
        }
    }

    /// The one method that it takes.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::AccessToken | Self::CorpToken | Self::UserAccessToken | Self::JsapiTickets => Method::POST,
            Self::LegacyToken | Self::LegacyTicket => Method::GET,
        }
    }

    /// Whether it is of the older API, which answers everything with 200 and an `errcode`.
    const fn is_legacy(self) -> bool {
        matches!(self, Self::LegacyToken | Self::LegacyTicket)
    }

    /// What the client's id and secret are called here.
    const fn client_fields(self) -> (&'static str, &'static str) {
        match self {
            Self::AccessToken | Self::JsapiTickets => ("appKey", "appSecret"),
            Self::CorpToken => ("client_id", "client_secret"),
            Self::UserAccessToken => ("clientId", "clientSecret"),
            Self::LegacyToken | Self::LegacyTicket => ("appkey", "appsecret"),
        }
    }
}

/// Reads a request.
///
/// # Errors
///
/// What is wrong with the request as such. A missing id or secret is told here too: it says nothing about
/// any client. A wrong grant type or a missing code waits in the [`Call`].
pub fn decode_request(request: &Request<Bytes>) -> Result<Call, Refusal> {
    let endpoint = Endpoint::at(request.uri().path()).ok_or(Refusal::ApiUnknown)?;
    if *request.method() != endpoint.method() {
        return Err(Refusal::MethodWrong);
    }
    match endpoint {
        Endpoint::AccessToken => {
            let object = read_body(request)?;
            decode_client(&object, endpoint, Ok(APP_TOKEN))
        }
        Endpoint::CorpToken => {
            let object = read_body(request)?;
            let is_known_grant = text(&object, "grant_type")? == Some("client_credentials");
            let ask = if is_known_grant { Ok(APP_TOKEN) } else { Err(Refusal::GrantTypeUnsupported) };
            decode_client(&object, endpoint, ask)
        }
        Endpoint::UserAccessToken => {
            let object = read_body(request)?;
            decode_client(&object, endpoint, decode_user_ask(&object))
        }
        Endpoint::JsapiTickets => decode_bearer(request),
        Endpoint::LegacyToken => decode_legacy(request.uri().query().unwrap_or_default()),
        Endpoint::LegacyTicket => decode_legacy_ticket(request.uri().query().unwrap_or_default()),
    }
}

/// What every endpoint for an app's own token asks: they all share one pool.
const APP_TOKEN: Ask = Ask::AppToken { pool: TokenKind::DingTalkToken, force: false };

/// The JSON object in a body.
///
/// A body under a content type that is not JSON is no body to the platform: a form gets `Missingbody`
/// (seen). A missing content type, or JSON without a charset, is fine: an official SDK sends them.
fn read_body(request: &Request<Bytes>) -> Result<Object<'_>, Refusal> {
    let is_json = request.headers().get(CONTENT_TYPE).is_none_or(is_json);
    if request.body().is_empty() || !is_json {
        return Err(Refusal::BodyMissing);
    }
    Object::read(request.body()).map_err(|_| Refusal::BodyMalformed)
}

/// Whether a content type is JSON: `application/json`, `text/json`, anything ending in `+json`.
fn is_json(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else { return false };
    let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(media_type.as_str(), "" | "application/json" | "text/json") || media_type.ends_with("+json")
}

fn text<'o>(object: &'o Object<'_>, name: &str) -> Result<Option<&'o str>, Refusal> {
    object.text(name).map_err(|_| Refusal::BodyMalformed)
}

fn decode_client(
    object: &Object<'_>,
    endpoint: Endpoint,
    ask: Result<Ask, Refusal>,
) -> Result<Call, Refusal> {
    let (id_name, secret_name) = endpoint.client_fields();
    client_call(text(object, id_name)?, text(object, secret_name)?, ask)
}

/// A call by an id and a secret, each `None` if absent or empty.
///
/// An id that can't be one is unknown like any other; "Invalid clientId or clientSecret" is one answer.
fn client_call(id: Option<&str>, secret: Option<&str>, ask: Result<Ask, Refusal>) -> Result<Call, Refusal> {
    let id = id.ok_or(Refusal::ClientMissing)?;
    let secret = secret.ok_or(Refusal::SecretMissing)?;
    let id = AppId::parse(id).map_err(|_| Refusal::ClientUnknown)?;
    let proof = ClientProof::Secret(ClientSecret::new(secret.to_owned()));
    Ok(Call { caller: Caller::Client { id, proof }, ask })
}

fn decode_user_ask(object: &Object<'_>) -> Result<Ask, Refusal> {
    let field = |name| Ok(text(object, name)?.ok_or(Refusal::FieldMissing)?.to_owned());
    match text(object, "grantType")? {
        Some("authorization_code") => Ok(Ask::ExchangeCode(AuthCode::new(field("code")?))),
        Some("refresh_token") => Ok(Ask::Refresh(RefreshToken::new(field("refreshToken")?))),
        _ => Err(Refusal::GrantTypeUnsupported),
    }
}

fn decode_bearer(request: &Request<Bytes>) -> Result<Call, Refusal> {
    let header = request.headers().get(TOKEN_HEADER).filter(|header| !header.is_empty());
    let token = header.ok_or(Refusal::AccessMissing)?;
    let token = token.to_str().map_err(|_| Refusal::AccessInvalid)?.to_owned();
    Ok(Call { caller: Caller::Bearer(AccessToken::new(token)), ask: Ok(TICKET) })
}

/// What both endpoints for a ticket ask.
const TICKET: Ask = Ask::Ticket { kind: TokenKind::Ticket };

/// `access_token`, and `type`, which is `jsapi` where it is given.
fn decode_legacy_ticket(query: &str) -> Result<Call, Refusal> {
    let query = Query::read(query).map_err(|_| Refusal::FieldIllegal)?;
    let token = query.get("access_token").ok_or(Refusal::AccessMissing)?;
    let is_jsapi = query.get("type").is_none_or(|kind| kind == "jsapi");
    let ask = if is_jsapi { Ok(TICKET) } else { Err(Refusal::FieldIllegal) };
    Ok(Call { caller: Caller::Bearer(AccessToken::new(token.to_owned())), ask })
}

/// `appkey` and `appsecret`, or what they were called before: `corpid` and `corpsecret`.
fn decode_legacy(query: &str) -> Result<Call, Refusal> {
    let query = Query::read(query).map_err(|_| Refusal::FieldIllegal)?;
    let id = query.get("appkey").or_else(|| query.get("corpid"));
    let secret = query.get("appsecret").or_else(|| query.get("corpsecret"));
    client_call(id, secret, Ok(APP_TOKEN))
}

/// Writes an answer.
#[must_use]
pub fn encode_response(outcome: &Outcome, context: &AnswerContext<'_>) -> Response<Bytes> {
    let endpoint = Endpoint::at(context.path);
    let (status, body) = match (outcome, endpoint) {
        (Outcome::Granted(granted), _) => match encode_granted(granted, endpoint) {
            Some(body) => (StatusCode::OK, body),
            None => encode_fault(&codes::UNKNOWN, context),
        },
        (Outcome::Refused(refusal), Some(endpoint)) if endpoint.is_legacy() => {
            encode_legacy(legacy_code(*refusal, endpoint))
        }
        (Outcome::Unknown, Some(endpoint)) if endpoint.is_legacy() => encode_legacy(codes::LEGACY_BUSY),
        (Outcome::Refused(refusal), _) => encode_fault(&fault(*refusal, endpoint), context),
        (Outcome::Unknown, _) => encode_fault(&codes::UNKNOWN, context),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_VALUE);
    if !endpoint.is_some_and(Endpoint::is_legacy)
        && let Ok(request_id) = HeaderValue::try_from(context.request_id.to_uuid())
    {
        response.headers_mut().insert(REQUEST_ID_HEADER, request_id);
    }
    response
}

/// `{"accessToken":"…","expireIn":7200}`; a user's token has two fields more.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenBody<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    expire_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    corp_id: Option<&'a str>,
}

#[derive(Serialize)]
struct CorpTokenBody<'a> {
    access_token: &'a str,
    expires_in: u64,
}

#[derive(Serialize)]
struct LegacyBody<'a> {
    errcode: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
    errmsg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketBody<'a> {
    jsapi_ticket: &'a str,
    expire_in: u64,
}

#[derive(Serialize)]
struct LegacyTicketBody<'a> {
    errcode: i32,
    errmsg: &'a str,
    ticket: &'a str,
    expires_in: u64,
}

#[derive(Serialize)]
struct FaultBody<'a> {
    requestid: &'a str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    accessdenieddetail: Option<DeniedDetail>,
}

/// What a caller lacks. Source: "Required permissions: `qyapi_base`".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeniedDetail {
    required_scopes: [&'static str; 1],
}

/// The body of a success; `None`: no ask of this dialect ends in this.
fn encode_granted(granted: &Granted, endpoint: Option<Endpoint>) -> Option<Bytes> {
    match granted {
        Granted::AppToken { token, expires_in } => {
            Some(encode_app_token(token.expose(), expires_in.as_secs(), endpoint))
        }
        Granted::TokenSet(set) => Some(json::to_bytes(&TokenBody {
            access_token: set.access.expose(),
            refresh_token: Some(set.refresh.expose()),
            expire_in: set.expires_in.as_secs(),
            corp_id: Some(CORP_ID),
        })),
        Granted::Ticket { ticket, expires_in } => {
            Some(encode_ticket(ticket.expose(), expires_in.as_secs(), endpoint))
        }
        Granted::Cancelled
        | Granted::UserInfo { .. }
        | Granted::Addresses(_)
        | Granted::QuotaCleared
        | Granted::Quota { .. } => None,
    }
}

fn encode_app_token(token: &str, expires_in_s: u64, endpoint: Option<Endpoint>) -> Bytes {
    match endpoint {
        Some(Endpoint::LegacyToken) => json::to_bytes(&LegacyBody {
            errcode: 0,
            access_token: Some(token),
            errmsg: "ok",
            expires_in: Some(expires_in_s),
        }),
        Some(Endpoint::CorpToken) => {
            json::to_bytes(&CorpTokenBody { access_token: token, expires_in: expires_in_s })
        }
        Some(
            Endpoint::AccessToken
            | Endpoint::UserAccessToken
            | Endpoint::JsapiTickets
            | Endpoint::LegacyTicket,
        )
        | None => {
            let body = TokenBody {
                access_token: token,
                refresh_token: None,
                expire_in: expires_in_s,
                corp_id: None,
            };
            json::to_bytes(&body)
        }
    }
}

fn encode_ticket(ticket: &str, expires_in_s: u64, endpoint: Option<Endpoint>) -> Bytes {
    if endpoint == Some(Endpoint::LegacyTicket) {
        return json::to_bytes(&LegacyTicketBody {
            errcode: 0,
            errmsg: "ok",
            ticket,
            expires_in: expires_in_s,
        });
    }
    json::to_bytes(&TicketBody { jsapi_ticket: ticket, expire_in: expires_in_s })
}

fn encode_legacy((errcode, errmsg): (i32, &str)) -> (StatusCode, Bytes) {
    let body = LegacyBody { errcode, access_token: None, errmsg, expires_in: None };
    (StatusCode::OK, json::to_bytes(&body))
}

fn encode_fault(fault: &Fault, context: &AnswerContext<'_>) -> (StatusCode, Bytes) {
    let message = match fault.address {
        Some(address) => format!("{} request ip={}", fault.message, IpAddr::to_canonical(&address)),
        None => fault.message.to_owned(),
    };
    let body = FaultBody {
        requestid: &context.request_id.to_uuid(),
        code: fault.code,
        message: &message,
        accessdenieddetail: fault.lacks_scope.then_some(DeniedDetail { required_scopes: ["qyapi_base"] }),
    };
    (fault.status, json::to_bytes(&body))
}

#[cfg(test)]
mod tests;
