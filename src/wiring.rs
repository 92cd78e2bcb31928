//! The parts put together: the only place that names concrete types for the ports.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use mintkeep_issuer::faults::Faults;
use mintkeep_issuer::issuer::{Issuer, IssuerParts};
use mintkeep_keeper::dropin::DropIn;
use mintkeep_keeper::proxy::HyperOnward;
use mintkeep_keeper::routes::{ListenerParts, WATCH_BEAT_EVERY};
use mintkeep_keeper::settings::KeeperSettings;
use mintkeep_keeper::upstream::HyperUpstream;
use mintkeep_keeper::{Keeper, KeeperParts};
use mintkeep_protocol::crypto::MasterKeys;
use mintkeep_protocol::port::entropy::SystemEntropy;
use mintkeep_protocol::port::issuer_store::IssuerStore;
use mintkeep_protocol::port::keeper_store::KeeperStore;
use mintkeep_protocol::time::Clock;
use mintkeep_web::access_log::AccessLog;
use mintkeep_web::limits::Limits;
use mintkeep_web::readiness::Readiness;
use mintkeep_web::serve::{House, Listener, Manners, serve};
use mintkeep_web::shortcut::Shortcut;
use mintkeep_web::tasks::Tasks;
use mintkeep_web::tls::Tls;
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use utoipa::openapi::OpenApi;

use crate::admin_listener;
use crate::config::DrainSettings;
use crate::engine::StoreHealth;
use crate::telemetry::Metrics;

/// What all of a process shares.
pub struct Process {
    /// The listeners' part. Its tasks are the connections, which stop first.
    pub house: House,
    /// The roles' own tasks, which go on until the last connection has ended.
    pub background: Tasks,
}

/// A bound listener and how it behaves.
pub struct Door {
    /// Its socket.
    pub bound: Bound,
    /// Its TLS, if it isn't plain.
    pub tls: Option<Tls>,
    /// How it behaves.
    pub manners: Manners,
}

/// What the roles keep, and what it is sealed under.
pub struct Records {
    /// The issuer's.
    pub issuer: Arc<dyn IssuerStore>,
    /// The keeper's.
    pub keeper: Arc<dyn KeeperStore>,
    /// The master keys.
    pub master: Arc<MasterKeys>,
}

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
        format!(
            "{address} can't be listened on; is another server running there? Give the {name} another address"
        )
    })?;
    let address = socket.local_addr()?;
    Ok(Bound { name, socket, address })
}

/// What all of a process shares. Blocking work runs on as many threads as there are cores.
pub fn process(clock: Arc<dyn Clock>, access_log: Option<AccessLog>) -> Process {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let house = House {
        clock,
        entropy: Arc::new(SystemEntropy),
        access_log,
        readiness: Readiness::default(),
        tasks: Tasks::new(cores),
    };
    Process { house, background: Tasks::new(cores) }
}

/// Opens the issuer over its records. `url` is where it is found from outside.
pub async fn open_issuer(
    process: &Process,
    records: &Records,
    (url, limits): (String, Limits),
) -> Result<Arc<Issuer>> {
    let issuer = Issuer::open(IssuerParts {
        store: Arc::clone(&records.issuer),
        clock: Arc::clone(&process.house.clock),
        entropy: Arc::clone(&process.house.entropy),
        tasks: process.background.clone(),
        master: Arc::clone(&records.master),
        limits,
        public_url: url,
    })
    .await?;
    Ok(issuer)
}

/// Opens the keeper over its records, and begins to renew.
pub async fn open_keeper(process: &Process, records: &Records, limits: Limits) -> Result<Arc<Keeper>> {
    let settings = KeeperSettings { limits, ..KeeperSettings::default() };
    let keeper = Keeper::new(KeeperParts {
        store: Arc::clone(&records.keeper),
        upstream: Arc::new(HyperUpstream::new(&settings)),
        clock: Arc::clone(&process.house.clock),
        entropy: Arc::clone(&process.house.entropy),
        master: Arc::clone(&records.master),
        tasks: process.background.clone(),
        settings,
    });
    keeper.start().await?;
    Ok(keeper)
}

/// Serves the issuer, with the `pages` that its listener has for browsers. `faults` are the sandbox's.
pub fn serve_issuer(
    process: &Process,
    mut door: Door,
    issuer: &Arc<Issuer>,
    (pages, faults): (Router, Option<Arc<Faults>>),
) {
    door.manners.refusal_form = mintkeep_issuer::routes::refusal_form(issuer);
    let shortcut = mintkeep_issuer::routes::shortcut(Arc::clone(issuer), faults.clone());
    let router = mintkeep_issuer::routes::router(Arc::clone(issuer), faults).merge(pages);
    start(process, door, (router, Some(shortcut)));
}

/// Serves the keeper.
pub fn serve_keeper(process: &Process, mut door: Door, keeper: &Arc<Keeper>) {
    let drop_in = DropIn::new(Arc::clone(keeper));
    door.manners.refusal_form = drop_in.refusal_form();
    let shortcut = mintkeep_keeper::routes::shortcut(Arc::clone(keeper), Arc::clone(&drop_in));
    start(process, door, (keeper_routes(process, keeper, drop_in), Some(shortcut)));
}

/// The keeper's routes, for its listener, and for what asks it within the process.
pub fn keeper_routes(process: &Process, keeper: &Arc<Keeper>, drop_in: Arc<DropIn>) -> Router {
    let parts = ListenerParts {
        drop_in,
        onward: Arc::new(HyperOnward::new()),
        tasks: process.house.tasks.clone(),
        watch_beat_every: WATCH_BEAT_EVERY,
    };
    mintkeep_keeper::routes::router(Arc::clone(keeper), parts)
}

/// Serves the admin listener: what every process answers there, and the roles' admin APIs.
pub fn serve_admin(
    process: &Process,
    door: Door,
    (metrics, store): (&Metrics, StoreHealth),
    (roles, api): (Router, OpenApi),
) {
    metrics.keep_up(&process.background);
    let roles = roles.merge(metrics.router());
    let router = admin_listener::router((process.house.readiness.clone(), store), roles, api);
    start(process, door, (router, None));
}

/// Serves `router`, and what goes past it, on a bound listener until the process stops.
fn start(process: &Process, door: Door, (router, shortcut): (Router, Option<Arc<dyn Shortcut>>)) {
    let Door { bound: Bound { name, socket, .. }, tls, manners } = door;
    let listener = Listener { name, socket, tls, router, shortcut, manners };
    process.house.tasks.spawn(serve(listener, process.house.clone()));
}

/// From the call on SIGTERM and SIGINT do not kill; what comes back waits for one of them. To be called first of all:
/// a server that is still starting may be told to stop too.
///
/// Nor does SIGXFSZ: a file that is as large as a limit lets it be, the log or the store, is to its writer what a full
/// disk is.
pub fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let _heeded_by_nobody = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Stops without dropping a request: readiness goes false, balancers get the notice to see it, then the
/// listeners close and what is in flight finishes; the roles stop last.
pub async fn stop(process: &Process, drain: DrainSettings) -> Result<()> {
    process.house.readiness.leave();
    tokio::time::sleep(drain.notice).await;
    let listeners = process.house.tasks.shutdown(drain.deadline).await;
    let roles = process.background.shutdown(drain.deadline).await;
    if let Err(left) = listeners.and(roles) {
        bail!("{left} after {} s; their connections were cut", drain.deadline.as_secs());
    }
    Ok(())
}
