//! What the issuer's listener takes, for `/openapi.json`: the standards, the wallet's call, and each dialect's.
//!
//! Dialects are described by path and method alone: their fields are the vendors', and `docs/dialect` has them.
//! Where a body may be one of several kinds, these are named too.

use http::Method;
use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Required,
    ResponseBuilder, SecurityRequirement, Server,
};

/// DingTalk's paths.
const DINGTALK: [&str; 6] = [
    "/v1.0/oauth2/accessToken",
    "/v1.0/oauth2/{corpId}/token",
    "/v1.0/oauth2/userAccessToken",
    "/v1.0/oauth2/jsapiTickets",
    "/gettoken",
    "/get_jsapi_ticket",
];

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// By what a caller proves itself.
#[derive(Clone, Copy)]
enum Proof {
    /// It need not, or its proof is among the fields of its dialect.
    InTheRequest,
    /// An id and a secret by Basic authentication: an app's, a resource server's or a wallet's.
    Client,
    /// An access token.
    Token,
}

impl Proof {
    const fn scheme(self) -> Option<&'static str> {
        match self {
            Self::InTheRequest => None,
            Self::Client => Some("client"),
            Self::Token => Some("access_token"),
        }
    }
}

/// One endpoint that is ours to describe.
struct Door {
    method: HttpMethod,
    path: &'static str,
    /// The operation's name, for generated clients.
    id: &'static str,
    summary: &'static str,
    proof: Proof,
    /// The body's media type and fields, with those that are required first told so.
    asks: Option<(&'static str, &'static [(&'static str, bool)])>,
    /// The status of a good answer, and what it has.
    tells: (&'static str, &'static str),
}

const DOORS: [Door; 7] = [
    Door {
        method: HttpMethod::Post,
        path: "/oauth2/token",
        id: "token",
        summary: "Grants a token to an app that has a secret (RFC 6749).",
        proof: Proof::Client,
        asks: Some((
            FORM,
            &[
                ("grant_type", true),
                ("code", false),
                ("redirect_uri", false),
                ("code_verifier", false),
                ("refresh_token", false),
                ("scope", false),
                ("client_id", false),
                ("client_secret", false),
            ],
        )),
        tells: (
            "200",
            "access_token, token_type, expires_in; for a code or refresh token also refresh_token and scope",
        ),
    },
    Door {
        method: HttpMethod::Post,
        path: "/oauth2/introspect",
        id: "introspect",
        summary: "Tells a resource server whether a token is good, and whose it is (RFC 7662).",
        proof: Proof::Client,
        asks: Some((FORM, &[("token", true), ("token_type_hint", false)])),
        tells: (
            "200",
            "active; of a good token also client_id, sub, scope, exp, iat, token_type, iss, dialect",
        ),
    },
    Door {
        method: HttpMethod::Post,
        path: "/oauth2/revoke",
        id: "revoke",
        summary: "Ends a token of the app's own (RFC 7009).",
        proof: Proof::Client,
        asks: Some((FORM, &[("token", true), ("token_type_hint", false)])),
        tells: ("200", "It is not good any more, or never was"),
    },
    Door {
        method: HttpMethod::Get,
        path: "/.well-known/oauth-authorization-server",
        id: "metadata",
        summary: "Names the standard endpoints (RFC 8414).",
        proof: Proof::InTheRequest,
        asks: None,
        tells: ("200", "issuer, the endpoints, and what they take"),
    },
    Door {
        method: HttpMethod::Get,
        path: "/authz",
        id: "authorize",
        summary: "Tells a gateway's sub-request who comes with the token in its headers.",
        proof: Proof::Token,
        asks: None,
        tells: (
            "204",
            "The token is good; X-Mintkeep-* headers say whose it is. 401: it is not. Below /authz/ any method is \
             answered so, with 200 in place of 204",
        ),
    },
    Door {
        method: HttpMethod::Head,
        path: "/authz",
        id: "authorizeHead",
        summary: "The same for a gateway that repeats the method of a HEAD.",
        proof: Proof::Token,
        asks: None,
        tells: ("204", "The token is good; X-Mintkeep-* headers say whose it is. 401: it is not"),
    },
    Door {
        method: HttpMethod::Post,
        path: "/wallet/v1/codes",
        id: "issueWalletCode",
        summary: "Gives a wallet's own backend a code about a customer whom it has asked.",
        proof: Proof::Client,
        asks: Some((JSON, &[("client_id", true), ("customer_id", true), ("scopes", true)])),
        tells: ("200", "auth_code, expires_at"),
    },
];

/// The issuer's listener, which is found at `public_url`.
pub(crate) fn description(public_url: &str) -> OpenApi {
    let mut paths = PathsBuilder::new();
    for door in &DOORS {
        paths = paths.path(door.path, door.item(public_url));
    }
    for place in dialects() {
        paths = paths.path(place.path, place.item(public_url));
    }
    let basic = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build());
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = ComponentsBuilder::new()
        .security_scheme(Proof::Client.scheme().unwrap_or_default(), basic)
        .security_scheme(Proof::Token.scheme().unwrap_or_default(), bearer);
    OpenApiBuilder::new().paths(paths).components(Some(components.build())).build()
}

impl Door {
    fn item(&self, public_url: &str) -> PathItem {
        let (status, told) = self.tells;
        let operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag("standard")
            .summary(Some(self.summary))
            .servers(Some([Server::new(public_url)]))
            .securities(Some(
                self.proof.scheme().map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new())),
            ))
            .request_body(self.asks.map(|(media_type, fields)| {
                let object = fields.iter().fold(ObjectBuilder::new(), |object, (name, is_required)| {
                    let kind = if *name == "scopes" { Type::Array } else { Type::String };
                    let object = object.property(*name, ObjectBuilder::new().schema_type(kind));
                    if *is_required { object.required(*name) } else { object }
                });
                let content = ContentBuilder::new().schema(Some(object)).build();
                RequestBodyBuilder::new().content(media_type, content).required(Some(Required::True)).build()
            }))
            .response(status, ResponseBuilder::new().description(told));
        PathItem::new(self.method.clone(), operation)
    }
}

/// One method of one endpoint of a dialect.
struct Place {
    method: HttpMethod,
    path: &'static str,
    /// The page of `docs/dialect` that has its fields.
    page: &'static str,
    /// The media types of a body that repeats what another method has in its query; none: its page's own method.
    instead_of_a_query: &'static [&'static str],
}

/// Every endpoint of every dialect, by each method that it takes.
fn dialects() -> Vec<Place> {
    let of_page = |method: &Method, path, page| {
        let method = if *method == Method::GET { HttpMethod::Get } else { HttpMethod::Post };
        Place { method, path, page, instead_of_a_query: &[] }
    };
    let mut found = Vec::new();
    for place in wechat::Endpoint::ALL {
        found.push(of_page(&place.method(), place.path(), "wechat"));
        if place.method() == Method::GET && place.takes(&Method::POST) {
            let posted = of_page(&Method::POST, place.path(), "wechat");
            found.push(Place { instead_of_a_query: &[FORM, JSON], ..posted });
        }
    }
    for path in DINGTALK {
        let place = dingtalk::Endpoint::at(&path.replace("{corpId}", "corp"));
        found.extend(place.map(|place| of_page(&place.method(), path, "dingtalk")));
    }
    for (gateway, page) in [(Gateway::MiniProgram, "miniprogram"), (Gateway::AlipayHk, "alipayhk")] {
        found.extend(gateway.endpoints().iter().map(|(path, _)| of_page(&Method::POST, *path, page)));
    }
    found
}

impl Place {
    fn item(&self, public_url: &str) -> PathItem {
        let Self { method, path, page, instead_of_a_query: kinds } = self;
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id()))
            .tag(*page)
            .summary(Some(format!("As the platform's own; docs/dialect/{page}.md has its fields and codes.")))
            .description((*page == "miniprogram").then_some("The path may also end in .htm."))
            .servers(Some([Server::new(public_url)]))
            .securities(Some(Vec::new()))
            .response("200", ResponseBuilder::new().description("What the dialect answers"));
        if path.contains("{corpId}") {
            let parameter = ParameterBuilder::new()
                .name("corpId")
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
            operation = operation.parameter(parameter);
        }
        if !kinds.is_empty() {
            let body =
                RequestBodyBuilder::new().description(Some("The fields, if they are not in the query"));
            let content = || ContentBuilder::new().schema(Some(ObjectBuilder::new())).build();
            let body = kinds.iter().fold(body, |body, kind| body.content(*kind, content()));
            operation = operation.request_body(Some(body.build()));
        }
        PathItem::new(method.clone(), operation)
    }

    /// The operation's name, of its path's words; with the method if it is not its page's.
    fn id(&self) -> String {
        let further = if self.instead_of_a_query.is_empty() { "" } else { "post" };
        let words = self.path.split(['/', '.', '_', '{', '}']).chain([further]);
        words.filter(|word| !word.is_empty()).fold(self.page.to_owned(), |mut id, word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or_default();
            id.push_str(&first.to_ascii_uppercase());
            id.push_str(rest);
            id
        })
    }
}
