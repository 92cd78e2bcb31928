//! Exchanges authorization codes, and measures only that: by signed applyToken calls, or by DingTalk's
//! userAccessToken, where an app proves itself by its secret and no RSA hides what an exchange costs.
//!
//! Signing costs a caller as much as it costs the server, so the codes are made and the requests signed
//! before the clock starts. It then prints `ready`, waits for a line on its standard input (the harness
//! reads the server's CPU time meanwhile), sends, and prints what it saw as one line of JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use mintkeep_bench::{Stopwatch, percentile, tell};
use mintkeep_protocol::crypto::RsaPrivateKey;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const SIGNED_PATH: &str = "/v1/authorizations/applyToken";
const SECRET_PATH: &str = "/v1.0/oauth2/userAccessToken";

/// Makes codes and the requests for their exchanges, sends them, and prints how fast they were answered.
#[derive(Parser)]
struct Arguments {
    /// Address of the issuer's listener.
    #[arg(long)]
    issuer: String,
    /// Address of the admin listener.
    #[arg(long)]
    admin: String,
    /// File with the admin token.
    #[arg(long)]
    admin_token: PathBuf,
    /// File with the private key of a Mini Program app.
    #[arg(long, required_unless_present = "secret")]
    key: Option<PathBuf>,
    /// File with the secret of a DingTalk app.
    #[arg(long, conflicts_with = "key")]
    secret: Option<PathBuf>,
    /// The app.
    #[arg(long)]
    app: String,
    /// Whose codes they are.
    #[arg(long)]
    customer: String,
    /// How many codes.
    #[arg(long)]
    count: usize,
    /// Over how many connections at once.
    #[arg(long)]
    connections: usize,
}

type Connection = SendRequest<Full<Bytes>>;

/// Requests that several connections take from, each once.
struct Pile {
    requests: Vec<Request<Full<Bytes>>>,
    taken: AtomicUsize,
}

impl Pile {
    fn of(requests: Vec<Request<Full<Bytes>>>) -> Arc<Self> {
        Arc::new(Self { requests, taken: AtomicUsize::new(0) })
    }

    fn take(&self) -> Option<Request<Full<Bytes>>> {
        self.requests.get(self.taken.fetch_add(1, Ordering::Relaxed)).cloned()
    }
}

/// One answer: what it said, and how long it took.
type Answer = (Bytes, Duration);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let codes = make_codes(arguments).await?;
    let requests = match (&arguments.key, &arguments.secret) {
        (Some(key), _) => signed_exchanges(arguments, key, &codes)?,
        (None, secret) => secret_exchanges(arguments, secret.as_deref().context("a secret")?, &codes)?,
    };
    let pile = Pile::of(requests);
    tell(&json!("ready"));
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;

    let watch = Stopwatch::start();
    let answers = send(&arguments.issuer, arguments.connections, &pile).await?;
    let seconds = watch.elapsed().as_secs_f64();

    let mut granted = 0_u32;
    for (body, _) in &answers {
        let answer: Value = serde_json::from_slice(body)?;
        ensure!(answer.get("accessToken").is_some(), "an exchange was answered with {answer}");
        granted = granted.saturating_add(1);
    }
    let mut latencies: Vec<Duration> = answers.into_iter().map(|(_, took)| took).collect();
    latencies.sort_unstable();
    tell(&json!({
        "requests": granted,
        "requests_per_s": f64::from(granted) / seconds,
        "p50_ms": percentile(&latencies, 50).as_secs_f64() * 1e3,
        "p99_ms": percentile(&latencies, 99).as_secs_f64() * 1e3,
    }));
    Ok(())
}

async fn make_codes(arguments: &Arguments) -> anyhow::Result<Vec<String>> {
    let token = std::fs::read_to_string(&arguments.admin_token).context("the admin token")?;
    let body =
        json!({ "client_id": arguments.app, "customer_id": arguments.customer, "scopes": ["auth_user"] });
    let asked = Request::builder()
        .method(Method::POST)
        .uri("/admin/v1/codes")
        .header(HOST, &arguments.admin)
        .header(AUTHORIZATION, format!("Bearer {}", token.trim()))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?;
    let pile = Pile::of(vec![asked; arguments.count]);
    let answers = send(&arguments.admin, arguments.connections, &pile).await?;
    let mut codes = Vec::new();
    for (body, _) in answers {
        let answer: Value = serde_json::from_slice(&body)?;
        let code = answer.get("auth_code").and_then(Value::as_str);
        codes.push(code.with_context(|| format!("no code in {answer}"))?.to_owned());
    }
    Ok(codes)
}

fn secret_exchanges(
    arguments: &Arguments,
    secret: &Path,
    codes: &[String],
) -> anyhow::Result<Vec<Request<Full<Bytes>>>> {
    let secret = std::fs::read_to_string(secret).context("the app's secret")?;
    let exchange = |code: &String| {
        let body = json!({
            "clientId": arguments.app, "clientSecret": secret.trim(), "code": code, "grantType": "authorization_code",
        });
        let request = Request::builder()
            .method(Method::POST)
            .uri(SECRET_PATH)
            .header(HOST, &arguments.issuer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        Ok(request)
    };
    codes.iter().map(exchange).collect()
}

fn signed_exchanges(
    arguments: &Arguments,
    key: &Path,
    codes: &[String],
) -> anyhow::Result<Vec<Request<Full<Bytes>>>> {
    let pem = std::fs::read_to_string(key).context("the app's private key")?;
    let key = RsaPrivateKey::from_pem(&pem)?;
    let mut requests = Vec::with_capacity(codes.len());
    for code in codes {
        let body = json!({ "grantType": "AUTHORIZATION_CODE", "authCode": code }).to_string();
        let time = jiff::Timestamp::now();
        let signature =
            key.sign(format!("POST {SIGNED_PATH}\n{}.{time}.{body}", arguments.app).as_bytes())?;
        let signature = base64::engine::general_purpose::STANDARD.encode(signature);
        let request = Request::builder()
            .method(Method::POST)
            .uri(SIGNED_PATH)
            .header(HOST, &arguments.issuer)
            .header(CONTENT_TYPE, "application/json; charset=UTF-8")
            .header("Client-Id", &arguments.app)
            .header("Request-Time", time.to_string())
            .header("Signature", format!("algorithm=RSA256, keyVersion=1, signature={signature}"))
            .body(Full::new(Bytes::from(body)))?;
        requests.push(request);
    }
    Ok(requests)
}

/// Sends the whole pile over as many connections, each taking the next request when it has its answer.
async fn send(address: &str, connections: usize, pile: &Arc<Pile>) -> anyhow::Result<Vec<Answer>> {
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (mut connection, driver) = handshake(TokioIo::new(stream)).await?;
        let pile = Arc::clone(pile);
        senders.spawn(async move {
            tokio::select! {
                sent = send_in_turn(&mut connection, &pile) => sent,
                _ = driver => anyhow::bail!("the server closed the connection"),
            }
        });
    }
    let mut answers = Vec::with_capacity(pile.requests.len());
    while let Some(sent) = senders.join_next().await {
        answers.extend(sent??);
    }
    Ok(answers)
}

async fn send_in_turn(connection: &mut Connection, pile: &Pile) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    while let Some(request) = pile.take() {
        let watch = Stopwatch::start();
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        answers.push((body, watch.elapsed()));
    }
    Ok(answers)
}
