//! Requests, answers and what came of them in short, for the tests of the dialects that prove a caller by a secret.

use bytes::Bytes;
use http::{Request, Response};

use crate::dialect::AnswerContext;
use crate::dialect::answer::{Ambiguity, UpstreamAnswer};
use crate::dialect::vector::NOW;
use crate::outcome::{Granted, Outcome, Refusal};
use crate::request::RequestId;

pub fn request(method: &str, target: &str, body: &[u8]) -> Request<Bytes> {
    Request::builder().method(method).uri(target).body(Bytes::copy_from_slice(body)).unwrap()
}

pub fn context(path: &str) -> AnswerContext<'_> {
    AnswerContext { path, now: NOW, request_id: RequestId::new(NOW, 7), app: None, profile: None }
}

pub fn answer(status: u16, body: &str) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

/// An upstream answer: `TOKEN SECONDS`, `VARIANT code`, or why it is ambiguous.
pub fn tell(answer: &UpstreamAnswer) -> String {
    match answer {
        UpstreamAnswer::Granted(Granted::AppToken { token, expires_in }) => {
            format!("{} {}", token.expose(), expires_in.as_secs())
        }
        UpstreamAnswer::Granted(_) => "granted something else".to_owned(),
        UpstreamAnswer::Refused { refusal, said } => format!("{refusal:?} {}", said.code()),
        UpstreamAnswer::Ambiguous(Ambiguity::Busy(said)) => format!("busy {}", said.code()),
        UpstreamAnswer::Ambiguous(why) => why.to_string(),
    }
}

/// An outcome that a fault rule may have: a refusal, or `None` for "it is not known".
pub fn struck(outcome: &Outcome) -> Option<Refusal> {
    match outcome {
        Outcome::Refused(refusal) => Some(*refusal),
        Outcome::Unknown => None,
        Outcome::Granted(_) => panic!("a fault rule grants nothing"),
    }
}
