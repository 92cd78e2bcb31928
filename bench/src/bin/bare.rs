//! A bare hyper server that answers a constant: what HTTP alone costs on this machine.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use clap::Parser;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// Answers every request with the same body.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    listen: SocketAddr,
    /// Bytes of the body.
    body_bytes: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve(&arguments))
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let body = Bytes::from(vec![b'x'; arguments.body_bytes]);
    let listener = TcpListener::bind(arguments.listen).await?;
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        let answer = service_fn(move |_: Request<hyper::body::Incoming>| {
            let mut response = Response::new(Full::new(body.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            std::future::ready(Ok::<_, Infallible>(response))
        });
        // A caller that hangs up ends its own connection, and that is all.
        connections
            .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}
