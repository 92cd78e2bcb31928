//! A listener with a log in memory, and the few words of HTTP that the tests speak.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use mintkeep_protocol::port::entropy::SystemEntropy;
use mintkeep_web::access_log::{AccessLog, AccessLogWriter, Format};
use mintkeep_web::clock::SystemClock;
use mintkeep_web::readiness::Readiness;
use mintkeep_web::serve::{House, Listener, Manners, serve};
use mintkeep_web::shortcut::Shortcut;
use mintkeep_web::tasks::Tasks;
use mintkeep_web::tls::Tls;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub address: SocketAddr,
    pub tasks: Tasks,
    pub readiness: Readiness,
    log: Lines,
    writer: AccessLogWriter,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Rig {
    pub async fn start(router: Router, manners: Manners) -> Self {
        Self::start_with(router, manners, None).await
    }

    pub async fn start_with(router: Router, manners: Manners, tls: Option<Tls>) -> Self {
        Self::start_listener((router, None), manners, tls).await
    }

    pub async fn start_listener(
        (router, shortcut): (Router, Option<Arc<dyn Shortcut>>),
        manners: Manners,
        tls: Option<Tls>,
    ) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (tasks, readiness, log) = (Tasks::new(1), Readiness::default(), Lines::default());
        let (access_log, writer) = AccessLog::start(Format::Json, log.clone()).unwrap();
        let house = House {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            access_log: Some(access_log),
            readiness: readiness.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn(serve(Listener { name: "test", socket, tls, router, shortcut, manners }, house));
        Self { address, tasks, readiness, log, writer }
    }

    /// Connects. What is sent does not fit into the socket's own memory: the server has to take it.
    pub async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Stops the listener, and gives all lines of the access log.
    pub async fn log_at_end(self) -> String {
        self.tasks.shutdown(PATIENCE).await.unwrap();
        drop(self.writer);
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }
}

/// All that comes until the server ends the connection, in whatever way.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    until_end(stream).await.0
}

/// The same, of a connection that must not be reset: its peer might lose what it was told.
pub async fn rest_unharmed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let (text, ended) = until_end(stream).await;
    ended.unwrap_or_else(|reset| panic!("{reset} after {text:?}"));
    text
}

async fn until_end(stream: &mut (impl AsyncRead + Unpin)) -> (String, io::Result<usize>) {
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it ends");
    (String::from_utf8(bytes).unwrap(), ended)
}

/// One answer with a `content-length`, on a connection that stays open.
pub async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.expect("it answers").unwrap();
        assert_eq!(read, 1, "ended within an answer: {text:?}");
        bytes.extend_from_slice(&byte);
    }
}

/// The status code of an answer; empty if there is none.
pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}
