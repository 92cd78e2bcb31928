//! The parts put together: the only place that names concrete types for the ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use mintkeep_protocol::port::entropy::SystemEntropy;
use mintkeep_protocol::time::Clock;
use mintkeep_web::access_log::AccessLog;
use mintkeep_web::readiness::Readiness;
use mintkeep_web::serve::{House, Listener, Manners, serve};
use mintkeep_web::tasks::Tasks;
use mintkeep_web::tls::Tls;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long requests in flight may still take when the process stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(25);

/// A listener that is bound and not yet served.
pub struct Bound {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// Its socket.
    pub socket: TcpListener,
    /// Where it listens, the port told even if any free one was asked for.
    pub address: SocketAddr,
}

/// Binds a listener.
pub async fn bind(name: &'static str, address: SocketAddr) -> Result<Bound> {
    let socket = TcpListener::bind(address).await.with_context(|| {
        format!("{address} can't be listened on; is another mintkeep running? Give --{name} another address")
    })?;
    let address = socket.local_addr()?;
    Ok(Bound { name, socket, address })
}

/// What all roles of a process share. Blocking work runs on as many threads as there are cores.
pub fn house(clock: Arc<dyn Clock>, access_log: Option<AccessLog>) -> House {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    House {
        clock,
        entropy: Arc::new(SystemEntropy),
        access_log,
        readiness: Readiness::default(),
        tasks: Tasks::new(cores),
    }
}

/// Serves `router` on a bound listener until the house stops.
pub fn start(house: &House, bound: Bound, router: Router, manners: Manners, tls: Option<Tls>) {
    let listener = Listener { name: bound.name, socket: bound.socket, tls, router, manners };
    house.tasks.spawn(serve(listener, house.clone()));
}

/// Waits for SIGTERM or SIGINT.
pub async fn told_to_stop() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Stops without dropping a request: readiness goes false, balancers get `notice` to see it, then the
/// listeners close and what is in flight finishes.
pub async fn stop(house: &House, notice: Duration) -> Result<()> {
    house.readiness.leave();
    tokio::time::sleep(notice).await;
    if let Err(left) = house.tasks.shutdown(DRAIN_MAX).await {
        bail!("{left} after {} s; their connections were cut", DRAIN_MAX.as_secs());
    }
    Ok(())
}
