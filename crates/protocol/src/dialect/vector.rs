//! Golden vectors: request and answer pairs, byte for byte, each naming the sentence that it proves.
//!
//! A file is a head of `name: value` lines, then `--- request` and `--- answer`, each as it stands on the
//! wire but for plain line ends. The head has
//! * `proves`: the page and its sentence, or `[ours]`, `[seen]`;
//! * `reads`: what `decode_request` makes of the request, in the words of [`describe`];
//! * `outcome`: what the issuer decided, in the words of [`outcome`];
//! * `profile: observed`, where the app has that setting.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Version};

use crate::app::{App, AppSettings, Behaviour};
use crate::dialect::AnswerContext;
use crate::ident::{AppId, CustomerId, Dialect, RecordId};
use crate::outcome::{Granted, Outcome, Refusal, TokenSet};
use crate::record::Profile;
use crate::request::{Ask, Call, Caller, ClientProof, RequestId};
use crate::secret::{AccessToken, RefreshToken};
use crate::time::Timestamp;
use crate::token::TokenKind;

/// When every vector's answer is made: the first block of the `rid` in them, in seconds.
pub const NOW: Timestamp = Timestamp::from_unix_ms(0x6aac_005a * 1000);

/// The token in every vector's answer, of the shape that a minted one has.
pub const TOKEN: &str = "0D2kRzLq8aTJ3hXwYb5cEuMvN4oPs6tG1iA7fCdH9jKlQnBxVyZmSgW";

/// One vector.
pub struct Vector {
    pub name: String,
    head: Vec<(String, String)>,
    pub request: Request<Bytes>,
    pub answer: String,
}

impl Vector {
    /// All vectors of a dialect, by name.
    pub fn all(dialect: Dialect) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(dialect.name());
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let (head, rest) = text.split_once("--- request\n").expect(&name);
        let (request, answer) = rest.split_once("\n--- answer\n").expect(&name);
        let pair = |line: &str| {
            let (key, value) = line.split_once(": ").expect(line);
            (key.to_owned(), value.to_owned())
        };
        let vector = Self {
            head: head.lines().map(pair).collect(),
            request: read_request(request),
            answer: answer.strip_suffix('\n').expect(&name).to_owned(),
            name,
        };
        assert!(vector.head("proves").is_some(), "{} names no sentence", vector.name);
        vector
    }

    /// A line of the head.
    pub fn head(&self, key: &str) -> Option<&str> {
        self.head.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// What the issuer decided.
    pub fn outcome(&self) -> Outcome {
        outcome(self.head("outcome").expect(&self.name))
    }

    /// Checks both halves against a dialect's functions.
    pub fn check(
        &self,
        dialect: Dialect,
        decode: impl Fn(&Request<Bytes>) -> Result<Call, Refusal>,
        encode: impl Fn(&Outcome, &AnswerContext<'_>) -> Response<Bytes>,
    ) {
        let name = &self.name;
        let read = decode(&self.request);
        assert_eq!(Some(describe(&read).as_str()), self.head("reads"), "{name}");
        if let Err(refusal) = read {
            assert_eq!(self.head("outcome"), Some(format!("refused {refusal:?}").as_str()), "{name}");
        }
        let app = app(dialect, self.head("profile") == Some("observed"));
        let context = AnswerContext {
            path: self.request.uri().path(),
            now: NOW,
            request_id: RequestId::new(NOW, 0x01bf_dbee_7976_9285),
            app: Some(&app),
            profile: None,
        };
        assert_eq!(write_answer(&encode(&self.outcome(), &context)), self.answer, "{name}");
    }
}

/// An app of the sandbox.
fn app(dialect: Dialect, is_observed: bool) -> App {
    let profile = if is_observed { Behaviour::Observed } else { Behaviour::Page };
    let id = AppId::parse("wx0000000000000001").unwrap();
    let settings = AppSettings { profile, ..AppSettings::default() };
    App { settings, ..App::new(RecordId::from_number(1), id, dialect, NOW) }
}

fn read_request(text: &str) -> Request<Bytes> {
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let mut start = lines.next().unwrap().split(' ');
    let (method, target) = (start.next().unwrap(), start.next().unwrap());
    assert_eq!((start.next(), start.next()), (Some("HTTP/1.1"), None));
    let mut request = Request::builder().method(method).uri(target).version(Version::HTTP_11);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

/// The answer as it stands on the wire, but for what the HTTP library adds.
fn write_answer(answer: &Response<Bytes>) -> String {
    let header = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines = vec![format!("HTTP/1.1 {}", answer.status())];
    lines.extend(answer.headers().iter().map(header));
    format!("{}\n\n{}", lines.join("\n"), std::str::from_utf8(answer.body()).unwrap())
}

/// What a request was read as: `client ID by SECRET asks …`, `bearer TOKEN asks …`, or `refused …`.
pub fn describe(read: &Result<Call, Refusal>) -> String {
    let call = match read {
        Ok(call) => call,
        Err(refusal) => return format!("refused {refusal:?}"),
    };
    let caller = match &call.caller {
        Caller::Client { id, proof: ClientProof::Secret(secret) } => {
            format!("client {id} by {}", secret.expose())
        }
        Caller::Client { id, proof: ClientProof::Unusable(refusal) } => format!("client {id} by {refusal:?}"),
        Caller::Client { id, proof: ClientProof::Signature(_) } => format!("client {id} by a signature"),
        Caller::Bearer(token) => format!("bearer {}", token.expose()),
    };
    let ask = match &call.ask {
        Ok(Ask::AppToken { pool, force: false }) => format!("{pool:?}"),
        Ok(Ask::AppToken { pool, force: true }) => format!("{pool:?} anew"),
        Ok(Ask::ExchangeCode(code)) => format!("code {}", code.expose()),
        Ok(Ask::Refresh(token)) => format!("refresh {}", token.expose()),
        Ok(Ask::CancelToken(token)) => format!("cancel {}", token.expose()),
        Ok(Ask::UserInfo(token)) => format!("user {}", token.expose()),
        Ok(Ask::PlatformAddresses) => "addresses".to_owned(),
        Ok(Ask::ClearQuota(id)) => format!("clear {id}"),
        Ok(Ask::QuotaOf { pool }) => format!("quota {pool:?}"),
        Ok(Ask::Ticket { kind: TokenKind::Ticket }) => "ticket".to_owned(),
        Ok(Ask::Ticket { kind }) => format!("{kind:?}"),
        Err(refusal) => format!("what is refused {refusal:?}"),
    };
    format!("{caller} asks {ask}")
}

/// The outcome in words: `token SECONDS`, `set SECONDS`, `ticket SECONDS`, `addresses IP,IP`, `cleared`,
/// `cancelled`, `user`, `user NICKNAME`, `quota LIMIT USED`, `refused VARIANT`, `unknown`.
fn outcome(text: &str) -> Outcome {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let seconds = || Duration::from_secs(rest.parse().unwrap());
    let token = || AccessToken::new(TOKEN.to_owned());
    Outcome::Granted(match verb {
        "refused" => return Outcome::Refused(refusal(rest)),
        "unknown" => return Outcome::Unknown,
        "token" => Granted::AppToken { token: token(), expires_in: seconds() },
        "ticket" => Granted::Ticket { ticket: token(), expires_in: seconds() },
        "set" => Granted::TokenSet(TokenSet {
            access: token(),
            access_expires_at: NOW.after(seconds()),
            expires_in: seconds(),
            refresh: RefreshToken::new(TOKEN.chars().rev().collect()),
            refresh_expires_at: NOW.after(Duration::from_hours(720)),
            customer: CustomerId::parse("2160000000000001").unwrap(),
            scopes: vec![],
        }),
        "addresses" => Granted::Addresses(rest.split(',').map(|ip| ip.parse().unwrap()).collect()),
        "cleared" => Granted::QuotaCleared,
        "cancelled" => Granted::Cancelled,
        "user" => Granted::UserInfo {
            customer: CustomerId::parse("2160000000000001").unwrap(),
            profile: (!rest.is_empty()).then(|| Profile {
                nick_name: Some(rest.to_owned()),
                avatar: Some("https://img.example/a.png".to_owned()),
                ..Profile::default()
            }),
        },
        "quota" => {
            let (limit, used) = rest.split_once(' ').unwrap();
            Granted::Quota { daily_limit: limit.parse().unwrap(), used: used.parse().unwrap() }
        }
        _ => panic!("no such outcome: {text}"),
    })
}

fn refusal(text: &str) -> Refusal {
    if let Some(address) = text.strip_prefix("AddressNotAllowed ") {
        return Refusal::AddressNotAllowed(address.parse::<IpAddr>().unwrap());
    }
    Refusal::ALL.into_iter().find(|refusal| format!("{refusal:?}") == text).expect(text)
}
