//! Asking the admin API, and what can come of it.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use mintkeep_keeper::upstream::{PlatformConnector, platform_connector};
use mintkeep_protocol::secret::AccessToken;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::remedy::in_verbs;
use super::report::{note, printable, write_json};

/// How long an answer may take. A renewal at a slow platform is the longest that is waited for.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(40);
/// Longest answer that is read, in bytes: a thousand apps with their keys.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What every listener of ours says of a path that it does not have. An admin listener has those of its roles.
const NO_SUCH_PATH: &str = "urn:mintkeep:problem:not-found";
/// How many entries a page has.
const PAGE_ENTRIES: u64 = 500;

/// Why a verb did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The server said no; its problem details.
    Refused(Value),
    /// Something on this machine can't be done: a file can't be written, an answer of no sense.
    Local(String),
    /// The command line does not fit.
    Usage(String),
    /// The server can't be reached.
    Unreachable(String),
}

impl Failure {
    /// Says what went wrong on standard error; as JSON it has the form of a server's problem details. The exit code to
    /// end with.
    pub fn tell(&self, as_json: bool) -> ExitCode {
        let ours = |kind, title, detail: &str| {
            let kind = format!("urn:mintkeep:problem:{kind}");
            json!({ "type": kind, "title": title, "detail": detail })
        };
        let (code, problem, told) = match self {
            Self::Refused(problem) => (1, problem.clone(), &told_of(problem)),
            Self::Local(told) => (1, ours("not-done", "It was not done", told), told),
            Self::Usage(told) => (2, ours("usage", "The command line does not fit", told), told),
            Self::Unreachable(told) => (3, ours("unreachable", "It could not be reached", told), told),
        };
        note(&if as_json { problem.to_string() } else { format!("mintkeep: {}", printable(told)) });
        ExitCode::from(code)
    }
}

/// A problem on one line: what is wrong, and what to do.
fn told_of(problem: &Value) -> String {
    let field = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}", field("title"), in_verbs(field("detail")))
}

/// The way to one server.
pub struct Client {
    base: String,
    token: AccessToken,
    /// Whether answers are told as JSON.
    pub as_json: bool,
    http: HyperClient<PlatformConnector, Full<Bytes>>,
}

impl Client {
    /// A way to the server at `base`, a URL without a slash at its end.
    pub fn new(base: String, token: AccessToken, as_json: bool) -> Self {
        let http = HyperClient::builder(TokioExecutor::new()).build(platform_connector());
        Self { base, token, as_json, http }
    }

    /// Reads `path` under `/admin/v1/`.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Posts a JSON object.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Reads all pages of a list, or as many entries as `most`. The answer is one page with them all.
    pub async fn all_pages(&self, path: &str, list: &str, most: u64) -> Result<Value, Failure> {
        let mut entries = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let left = most.saturating_sub(u64::try_from(entries.len()).unwrap_or(u64::MAX));
            let joint = if path.contains('?') { '&' } else { '?' };
            let mut page_path = format!("{path}{joint}most={}", left.min(PAGE_ENTRIES));
            if let Some(after) = &next {
                page_path.push_str("&after=");
                page_path.push_str(&segment(after));
            }
            let mut page = self.get(&page_path).await?;
            if let Some(Value::Array(found)) = page.get_mut(list).map(Value::take) {
                entries.extend(found);
            }
            next = page.get("next").and_then(Value::as_str).map(ToOwned::to_owned);
            let is_enough = u64::try_from(entries.len()).is_ok_and(|count| count >= most);
            if next.is_none() || is_enough {
                return Ok(json!({ list: entries, "next": next }));
            }
        }
    }

    /// Asks; the answer's JSON, `null` if it has none.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let unreachable = |why: &dyn std::fmt::Display| {
            Failure::Unreachable(format!(
                "{} can't be reached: {why}; is the server running, and is --admin-url right?",
                self.base
            ))
        };
        let asked = async {
            let response = self.http.request(self.request(method, path, body)?).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                unreachable(&cause.unwrap_or_else(|| error.to_string()))
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| unreachable(&error))?.to_bytes();
            self.judge(&Response::from_parts(head, body))
        };
        tokio::time::timeout(ANSWER_WAIT_MAX, asked)
            .await
            .unwrap_or_else(|_late| Err(unreachable(&"no answer in 40 seconds")))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let bearer = Zeroizing::new(format!("Bearer {}", self.token.expose()));
        let mut bearer = HeaderValue::from_str(&bearer)
            .map_err(|_| Failure::Usage("the admin token is no token at all".to_owned()))?;
        bearer.set_sensitive(true);
        let names = path.split('?').next().unwrap_or_default();
        if names.split('/').any(str::is_empty) {
            return Err(Failure::Usage("a name is empty".to_owned()));
        }
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/admin/v1/{path}", self.base))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        request.body(Full::new(body)).map_err(|error| Failure::Usage(error.to_string()))
    }

    fn judge(&self, response: &Response<Bytes>) -> Result<Value, Failure> {
        let (status, body) = (response.status(), response.body());
        let parsed = serde_json::from_slice::<Value>(body).ok();
        match parsed {
            Some(answer) if status.is_success() => Ok(answer),
            None if status.is_success() && body.is_empty() => Ok(Value::Null),
            Some(problem)
                if problem.get("title").is_some() && problem.get("type") != Some(&NO_SUCH_PATH.into()) =>
            {
                Err(Failure::Refused(problem))
            }
            Some(_) | None => Err(Failure::Unreachable(format!(
                "{} answers, but not as an admin listener of Mintkeep does (status {}); is --admin-url right, \
                 and does that process run this role?",
                self.base,
                status.as_u16()
            ))),
        }
    }

    /// Tells an answer: as JSON if that is wanted, else as `told` says.
    pub fn tell(&self, answer: &Value, told: impl FnOnce(&Value)) {
        if self.as_json { write_json(answer) } else { told(answer) }
    }
}

/// A name as a segment of a path or a value in a query.
pub fn segment(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing into a String can't fail.
            let _infallible = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection's one request with the first page, or with the last if it says after what.
    fn pages(listener: &TcpListener) {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let is_last = String::from_utf8(head).unwrap().contains("&after=b%20c ");
            let page = if is_last { r#"{"names":["c"]}"# } else { r#"{"names":["a","b"],"next":"b c"}"# };
            let (length, close) = (page.len(), "connection: close");
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{close}\r\n\r\n{page}").unwrap();
        }
    }

    #[tokio::test]
    async fn a_list_of_several_pages_is_read_to_its_end_or_as_far_as_is_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || pages(&listener));
        let client = Client::new(base, AccessToken::new("a".to_owned()), true);
        for (most, names, next) in [(9, &["a", "b", "c"][..], Value::Null), (2, &["a", "b"], "b c".into())] {
            let told = client.all_pages("apps", "names", most).await;
            assert!(
                matches!(&told, Ok(told) if *told == json!({ "names": names, "next": next })),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        for (name, written) in
            [("wx1", "wx1"), ("../x", "..%2Fx"), ("a?b#c&d", "a%3Fb%23c%26d"), ("é", "%C3%A9")]
        {
            assert_eq!(segment(name), written);
        }
    }
}
