//! WeChat: `/cgi-bin/token`, `/cgi-bin/stable_token` and the calls that use a token.
//!
//! Everything is answered with HTTP 200; what happened is in the JSON body. Source: WeChat
//! "auth.getAccessToken"; `docs/dialect/wechat.md` says what we decided where the page is silent.

mod client;
mod codes;

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use serde::Serialize;

pub use client::{
    DEAD_TOKEN_BODY_BYTES_MAX, TokenCall, decode_response, encode_request, put_token, says_token_is_dead,
};
pub use codes::{code, outcome_of_code, profile_of_code};

use crate::dialect::AnswerContext;
use crate::dialect::json::{self, Object};
use crate::dialect::query::Query;
use crate::ident::AppId;
use crate::outcome::{Granted, Outcome, Refusal};
use crate::request::{Ask, Call, Caller, ClientProof};
use crate::secret::{AccessToken, ClientSecret};
use crate::token::TokenKind;

/// What WeChat writes; `encoding` for `charset` is not ours.
const CONTENT_TYPE_VALUE: HeaderValue = HeaderValue::from_static("application/json; encoding=utf-8");

/// The one grant type. Source: "Enters `client_credential`."
const GRANT_TYPE: &str = "client_credential";

/// The endpoints of this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET /cgi-bin/token`, by POST too.
    Token,
    /// `POST /cgi-bin/stable_token`.
    StableToken,
    /// `GET /cgi-bin/get_api_domain_ip`.
    ApiDomainIp,
    /// `GET /cgi-bin/getcallbackip`.
    CallbackIp,
    /// `POST /cgi-bin/clear_quota`.
    ClearQuota,
    /// `POST /cgi-bin/openapi/quota/get`.
    QuotaGet,
    /// `GET /cgi-bin/ticket/getticket`.
    Ticket,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Token,
        Self::StableToken,
        Self::ApiDomainIp,
        Self::CallbackIp,
        Self::ClearQuota,
        Self::QuotaGet,
        Self::Ticket,
    ];

    /// The endpoint at `path`, also with the doubled leading slash that a public SDK's documented host
    /// setting produces.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let path = if path.starts_with("//") { path.get(1..)? } else { path };
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// Its path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Token => "/cgi-bin/token",
            Self::StableToken => "/cgi-bin/stable_token",
            Self::ApiDomainIp => "/cgi-bin/get_api_domain_ip",
            Self::CallbackIp => "/cgi-bin/getcallbackip",
            Self::ClearQuota => "/cgi-bin/clear_quota",
            Self::QuotaGet => "/cgi-bin/openapi/quota/get",
            Self::Ticket => "/cgi-bin/ticket/getticket",
        }
    }

    /// The method that its page names.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Token | Self::ApiDomainIp | Self::CallbackIp | Self::Ticket => Method::GET,
            Self::StableToken | Self::ClearQuota | Self::QuotaGet => Method::POST,
        }
    }

    /// Whether it takes `method`: its page's, and a token by POST too, as public clients ask for one.
    #[must_use]
    pub fn takes(self, method: &Method) -> bool {
        *method == self.method() || (self == Self::Token && *method == Method::POST)
    }

    /// The pool that its calls draw from.
    #[must_use]
    pub const fn pool(self) -> Option<TokenKind> {
        match self {
            Self::Token => Some(TokenKind::WeChatToken),
            Self::StableToken => Some(TokenKind::WeChatStable),
            Self::ApiDomainIp | Self::CallbackIp | Self::ClearQuota | Self::QuotaGet | Self::Ticket => None,
        }
    }
}

/// Reads a request. The content type of a body is not looked at: clients send JSON under any.
///
/// # Errors
///
/// What is wrong before anybody can be asked who the caller is. A missing secret and a wrong
/// `grant_type` wait in the [`Call`]: an unknown appid is told before them ("checked first").
pub fn decode_request(request: &Request<Bytes>) -> Result<Call, Refusal> {
    let endpoint = Endpoint::at(request.uri().path()).ok_or(Refusal::ApiUnknown)?;
    if !endpoint.takes(request.method()) {
        return Err(Refusal::MethodWrong);
    }
    let query = request.uri().query().unwrap_or_default();
    let query = Query::read(query).map_err(|_| Refusal::FieldIllegal)?;
    let bearer = |ask| {
        let token = query.get("access_token").ok_or(Refusal::AccessMissing)?;
        Ok(Call { caller: Caller::Bearer(AccessToken::new(token.to_owned())), ask })
    };
    match endpoint {
        // A GET's body means nothing.
        Endpoint::Token if *request.method() == Method::GET => decode_token(&query, b""),
        Endpoint::Token => decode_token(&query, request.body()),
        Endpoint::StableToken => decode_stable_token(request.body()),
        Endpoint::ApiDomainIp | Endpoint::CallbackIp => bearer(Ok(Ask::PlatformAddresses)),
        Endpoint::ClearQuota => bearer(decode_clear_quota(request.body())),
        Endpoint::QuotaGet => bearer(decode_quota_get(request.body())),
        Endpoint::Ticket => bearer(decode_ticket(&query)),
    }
}

/// The fields that both token endpoints take, each `None` if absent or empty.
struct ClientFields<'a> {
    appid: Option<&'a str>,
    secret: Option<&'a str>,
    grant_type: Option<&'a str>,
}

impl ClientFields<'_> {
    /// The call that they make.
    ///
    /// Source: errcode 40013, "Avoid abnormal characters. Note the capitalization": an appid that can't
    /// be one is unknown like any other.
    fn into_call(self, pool: TokenKind, force: bool) -> Result<Call, Refusal> {
        let id = AppId::parse(self.appid.ok_or(Refusal::ClientMissing)?);
        let id = id.map_err(|_| Refusal::ClientUnknown)?;
        let proof = match self.secret {
            Some(secret) => ClientProof::Secret(ClientSecret::new(secret.to_owned())),
            None => ClientProof::Unusable(Refusal::SecretMissing),
        };
        let is_known_grant = self.grant_type == Some(GRANT_TYPE);
        let ask = if is_known_grant {
            Ok(Ask::AppToken { pool, force })
        } else {
            Err(Refusal::GrantTypeUnsupported)
        };
        Ok(Call { caller: Caller::Client { id, proof }, ask })
    }
}

/// The page has all fields in the query. Where they are posted they are in a form or in a JSON object; a
/// field that is both there and in the query is refused like any that is given twice.
fn decode_token(query: &Query<'_>, body: &[u8]) -> Result<Call, Refusal> {
    let posted = Posted::read(body)?;
    let field = |name| match (query.get(name), posted.get(name)?) {
        (Some(_), Some(_)) => Err(Refusal::FieldIllegal),
        (asked, posted) => Ok(asked.or(posted)),
    };
    let fields =
        ClientFields { appid: field("appid")?, secret: field("secret")?, grant_type: field("grant_type")? };
    fields.into_call(TokenKind::WeChatToken, false)
}

/// The fields of a body, told apart by its first byte: JSON comes under any content type.
enum Posted<'a> {
    Form(Query<'a>),
    Json(Object<'a>),
}

impl<'a> Posted<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        if body.trim_ascii_start().first() == Some(&b'{') {
            return Ok(Self::Json(read_object(body)?));
        }
        let form = std::str::from_utf8(body).map_err(|_| Refusal::FieldIllegal)?;
        Ok(Self::Form(Query::read(form).map_err(|_| Refusal::FieldIllegal)?))
    }

    fn get(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self {
            Self::Form(form) => Ok(form.get(name)),
            Self::Json(object) => text(object, name),
        }
    }
}

fn decode_stable_token(body: &[u8]) -> Result<Call, Refusal> {
    let object = read_object(body)?;
    let fields = ClientFields {
        appid: text(&object, "appid")?,
        secret: text(&object, "secret")?,
        grant_type: text(&object, "grant_type")?,
    };
    let force = object.flag("force_refresh").map_err(|_| Refusal::BodyMalformed)?;
    fields.into_call(TokenKind::WeChatStable, force)
}

fn decode_clear_quota(body: &[u8]) -> Result<Ask, Refusal> {
    let object = read_object(body)?;
    let appid = text(&object, "appid")?.ok_or(Refusal::ClientMissing)?;
    AppId::parse(appid).map(Ask::ClearQuota).map_err(|_| Refusal::ClientUnknown)
}

fn decode_quota_get(body: &[u8]) -> Result<Ask, Refusal> {
    let object = read_object(body)?;
    let path = text(&object, "cgi_path")?.ok_or(Refusal::FieldMissing)?;
    if !path.starts_with('/') {
        return Err(Refusal::FieldIllegal);
    }
    Ok(Ask::QuotaOf { pool: Endpoint::at(path).and_then(Endpoint::pool) })
}

/// Source: WeChat "JS-SDK", appendix 1 and 4: `type=jsapi`, `type=wx_card`.
fn decode_ticket(query: &Query<'_>) -> Result<Ask, Refusal> {
    match query.get("type").ok_or(Refusal::FieldMissing)? {
        "jsapi" => Ok(Ask::Ticket { kind: TokenKind::Ticket }),
        "wx_card" => Ok(Ask::Ticket { kind: TokenKind::CardTicket }),
        _ => Err(Refusal::FieldIllegal),
    }
}

fn read_object(body: &[u8]) -> Result<Object<'_>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::BodyMissing);
    }
    Object::read(body).map_err(|_| Refusal::BodyMalformed)
}

fn text<'o>(object: &'o Object<'_>, name: &str) -> Result<Option<&'o str>, Refusal> {
    object.text(name).map_err(|_| Refusal::BodyMalformed)
}

/// Writes an answer: HTTP 200, compact JSON, `errcode` first in errors.
#[must_use]
pub fn encode_response(outcome: &Outcome, context: &AnswerContext<'_>) -> Response<Bytes> {
    let body = match outcome {
        Outcome::Granted(granted) => encode_granted(granted, context),
        Outcome::Refused(refusal) => encode_refusal(*refusal, context),
        Outcome::Unknown => encode_error(codes::BUSY, codes::BUSY_MESSAGE, context),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_VALUE);
    response
}

/// `{"access_token":"…","expires_in":7200}`.
#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: &'a str,
    expires_in: u64,
}

/// `{"ip_list":["…"]}`.
#[derive(Serialize)]
struct AddressesBody<'a> {
    ip_list: &'a [IpAddr],
}

/// `{"errcode":0,"errmsg":"ok"}`, with `quota` where it was asked for.
#[derive(Serialize)]
struct StatusBody<'a> {
    errcode: i32,
    errmsg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaBody>,
}

/// `{"errcode":0,"errmsg":"ok","ticket":"…","expires_in":7200}`.
#[derive(Serialize)]
struct TicketBody<'a> {
    errcode: i32,
    errmsg: &'a str,
    ticket: &'a str,
    expires_in: u64,
}

#[derive(Serialize)]
struct QuotaBody {
    daily_limit: u32,
    used: u32,
    remain: u32,
}

fn encode_granted(granted: &Granted, context: &AnswerContext<'_>) -> Bytes {
    match granted {
        Granted::AppToken { token, expires_in } => {
            json::to_bytes(&TokenBody { access_token: token.expose(), expires_in: expires_in.as_secs() })
        }
        Granted::Addresses(addresses) => json::to_bytes(&AddressesBody { ip_list: addresses }),
        Granted::QuotaCleared => json::to_bytes(&StatusBody { errcode: 0, errmsg: "ok", quota: None }),
        Granted::Quota { daily_limit, used } => {
            let remain = daily_limit.saturating_sub(*used);
            let quota = QuotaBody { daily_limit: *daily_limit, used: *used, remain };
            json::to_bytes(&StatusBody { errcode: 0, errmsg: "ok", quota: Some(quota) })
        }
        Granted::Ticket { ticket, expires_in } => json::to_bytes(&TicketBody {
            errcode: 0,
            errmsg: "ok",
            ticket: ticket.expose(),
            expires_in: expires_in.as_secs(),
        }),
        // No ask of this dialect ends in one of these, so it has no form for them.
        Granted::TokenSet(_) | Granted::Cancelled | Granted::UserInfo { .. } => {
            encode_error(codes::BUSY, codes::BUSY_MESSAGE, context)
        }
    }
}

fn encode_refusal(refusal: Refusal, context: &AnswerContext<'_>) -> Bytes {
    let profile = context.profile.or_else(|| Some(context.app?.settings.profile)).unwrap_or_default();
    let (code, message) = code(refusal, Endpoint::at(context.path), profile);
    if let Refusal::AddressNotAllowed(address) = refusal {
        return encode_error(code, &not_in_whitelist(address), context);
    }
    encode_error(code, message, context)
}

/// The message of 40164, which names the caller's address in both forms.
fn not_in_whitelist(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("invalid ip {v4} ipv6 {}, not in whitelist", v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => format!("invalid ip {v6} ipv6 {v6}, not in whitelist"),
    }
}

fn encode_error(errcode: i32, message: &str, context: &AnswerContext<'_>) -> Bytes {
    let errmsg = format!("{message} rid: {}", context.request_id);
    json::to_bytes(&StatusBody { errcode, errmsg: &errmsg, quota: None })
}

#[cfg(test)]
mod tests;
