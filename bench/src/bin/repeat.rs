//! Sends one request again and again over raw sockets, whatever protocol it is in, so that servers that speak
//! different ones are measured by the very same loop: each connection writes the bytes, reads as many as the first
//! answer had, and takes the time.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use mintkeep_bench::{Stopwatch, percentile, tell};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the first answer may pause in its middle.
const FIRST_ANSWER_PAUSE_MAX: Duration = Duration::from_millis(200);

/// What of each answer must be as it was in the first one: `HTTP/1.1 200`, or how long Redis' value is.
const ALIKE_BYTES: usize = 12;

/// Repeats a request for a while, and prints how often it was answered and how fast.
#[derive(Parser)]
struct Arguments {
    /// Where the server listens.
    server: SocketAddr,
    /// The file with the request, all of its bytes.
    request: PathBuf,
    /// Over how many connections at once.
    connections: usize,
    /// For how long, in seconds.
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let request = std::fs::read(&arguments.request).context("the request")?;
    let first = first_answer(arguments.server, &request).await?;
    let watch = Stopwatch::start();
    let wanted = Duration::from_secs(arguments.seconds);
    let mut running = JoinSet::new();
    for _ in 0..arguments.connections {
        running.spawn(repeat((arguments.server, request.clone()), first.clone(), (watch, wanted)));
    }
    let mut latencies = Vec::new();
    while let Some(of_one) = running.join_next().await {
        latencies.extend(of_one??);
    }
    let seconds = watch.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let requests = u32::try_from(latencies.len())?;
    tell(&serde_json::json!({
        "requests": requests,
        "requests_per_s": f64::from(requests) / seconds,
        "p50_ms": percentile(&latencies, 50).as_secs_f64() * 1e3,
        "p99_ms": percentile(&latencies, 99).as_secs_f64() * 1e3,
    }));
    Ok(())
}

/// The first answer, whole: it has ended when nothing more comes.
async fn first_answer(server: SocketAddr, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    while let Ok(read) = timeout(FIRST_ANSWER_PAUSE_MAX, stream.read_buf(&mut answer)).await {
        ensure!(read? > 0, "the server closed the connection");
    }
    ensure!(answer.len() > ALIKE_BYTES, "the server did not answer");
    Ok(answer)
}

/// One connection's part: how long each answer took.
async fn repeat(
    (server, request): (SocketAddr, Vec<u8>),
    first: Vec<u8>,
    (watch, wanted): (Stopwatch, Duration),
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut answer = vec![0; first.len()];
    let mut latencies = Vec::new();
    while watch.elapsed() < wanted {
        let asked = Stopwatch::start();
        stream.write_all(&request).await?;
        stream.read_exact(&mut answer).await?;
        latencies.push(asked.elapsed());
        ensure!(
            answer.get(..ALIKE_BYTES) == first.get(..ALIKE_BYTES),
            "an answer was not like the first one"
        );
    }
    Ok(latencies)
}
