//! `mintkeep dev`: both roles on loopback, the sandbox on, nothing to set up.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use mintkeep_issuer::admin::{self, MovableClock as _};
use mintkeep_issuer::faults::Faults;
use mintkeep_keeper::dropin::DropIn;
use mintkeep_keeper::{Keeper, admin_routes};
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing, MasterKeys, hexadecimal};
use mintkeep_protocol::port::entropy::{SystemEntropy, draw};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_store::{SqliteOptions, SqliteStore};
use mintkeep_web::access_log::{AccessLog, Format};
use mintkeep_web::admin_api;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::limits::Limits;
use mintkeep_web::serve::Manners;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::DevOptions;
use crate::config::{DrainSettings, LogSettings};
use crate::engine::StoreHealth;
use crate::sandbox_clock::SandboxClock;
use crate::say::note;
use crate::telemetry::{self, Metrics};
use crate::welcome::Welcome;
use crate::wiring::{Door, Process, Records};
use crate::{
    admin_listener, folder, master_key, sandbox, sandbox_browser, sandbox_keeper, sandbox_keys, welcome,
    wiring,
};

/// For people, every request.
const LOG: LogSettings = LogSettings { format: Format::Text, level: tracing::Level::INFO, access: true };

/// A data folder, and whether it goes with us.
struct DataFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            note(&format!("mintkeep: {} is left behind: {error}", self.path.display()));
        }
    }
}

/// Runs until SIGINT or SIGTERM, or until its terminal is closed.
pub async fn run(options: DevOptions) -> Result<()> {
    let told_to_stop = wiring::told_to_stop()?;
    let hung_up = hung_up()?;
    let data = data_folder(&options)?;
    let (log, log_writer) = AccessLog::start(LOG.format, std::io::stderr())?;
    let metrics = telemetry::install(LOG, &log)?;
    let clock = Arc::new(SandboxClock::open(data.path.join("sandbox").join("clock"))?);
    let process = wiring::process(clock.clone(), Some(log));
    let store = SqliteStore::open(&data.path, SqliteOptions::new(clock.clone()))?;

    let served = tokio::select! {
        served = serve(&options, &data.path, (&process, &metrics, clock, Arc::clone(&store))) => served,
        () = told_to_stop => Ok(()),
        () = hung_up => Ok(()),
    };
    let stopped = wiring::stop(&process, DrainSettings::AT_ONCE).await;
    store.close();
    drop(log_writer);
    served.and(stopped)
}

/// Starts, and serves without end.
async fn serve(
    options: &DevOptions,
    data: &Path,
    (process, metrics, clock, store): (&Process, &Metrics, Arc<SandboxClock>, Arc<SqliteStore>),
) -> Result<()> {
    let issuer_socket = wiring::bind("issuer", options.issuer).await?;
    let keeper_socket = wiring::bind("keeper", options.keeper).await?;
    let admin_socket = wiring::bind("admin", options.admin).await?;
    let welcome = Welcome {
        data: data.to_owned(),
        issuer: issuer_socket.address,
        keeper: keeper_socket.address,
        admin: admin_socket.address,
    };

    let token_file = data.join("admin.token");
    let admin_token = folder::secret_or_new(&token_file, new_token)?;
    if admin_token.is_empty() {
        bail!("{} is empty: remove it, and a new token is drawn at the next start", token_file.display());
    }
    let records = Records { issuer: store.clone(), keeper: store, master: Arc::new(master_keys(data)?) };
    let url = format!("http://{}", issuer_socket.address);
    let (issuer, ()) = tokio::try_join!(
        wiring::open_issuer(process, &records, (url, Limits::default())),
        sandbox_keys::make(data, &process.background),
    )?;
    sandbox::seed(&issuer, data).await?;
    let faults = Arc::new(Faults::new(process.house.entropy.clone()));

    let door = |bound| Door { bound, tls: None, manners: Manners::default() };
    let keeper = wiring::open_keeper(process, &records, Limits::default()).await?;
    follow_clock(&keeper, &clock);
    sandbox_keeper::seed(&keeper, &issuer, data).await?;
    let merchants_keeper = wiring::keeper_routes(process, &keeper, DropIn::new(Arc::clone(&keeper)));
    let pages = sandbox_browser::pages(&issuer, merchants_keeper, data).await?;
    wiring::serve_issuer(process, door(issuer_socket), &issuer, (pages, Some(Arc::clone(&faults))));
    let sandbox = admin::Sandbox { clock: clock.clone(), faults };
    let token = AdminToken::new(&ClientSecret::new(admin_token));
    let issuers_admin = admin::router(Arc::clone(&issuer), Some(sandbox.clone()), token);
    let keepers_admin = admin_routes::router(Arc::clone(&keeper), token);
    let master_key = master_key::router(process, &records, Some(Arc::clone(&keeper)), token);
    let everybodys = admin_api::router(Arc::clone(&records.issuer), token);
    let (admin, api) =
        [issuers_admin, keepers_admin, master_key].into_iter().fold(everybodys, admin_listener::beside);
    let rooms = vec![
        mintkeep_issuer::console::rooms(Arc::clone(&issuer), Some(sandbox)),
        mintkeep_keeper::console::rooms(Arc::clone(&keeper)),
    ];
    let admin_door = door(admin_socket);
    let console =
        admin_listener::console(process, (&admin_door, None), Arc::clone(&records.issuer), token, rooms);
    wiring::serve_admin(process, admin_door, (metrics, StoreHealth::good()), (admin.merge(console), api));
    wiring::serve_keeper(process, door(keeper_socket), &keeper);
    process.house.readiness.started();
    welcome::print(&welcome, clock.offset());
    pending().await
}

/// Waits for SIGHUP, which from the call on does not kill. Never comes if whoever started us wants SIGHUP ignored, as
/// `nohup` does.
fn hung_up() -> Result<impl Future<Output = ()>> {
    let mut hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(async move {
        match &mut hangup {
            Some(hangup) => drop(hangup.recv().await),
            None => pending().await,
        }
    })
}

/// Whether SIGHUP, the first of all signals, is ignored, as far as Linux tells.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(ignored.trim(), 16).is_ok_and(|signals| signals & 1 == 1)
}

/// The keeper looks at its timetable again whenever the clock is moved.
fn follow_clock(keeper: &Arc<Keeper>, clock: &SandboxClock) {
    let told = Arc::downgrade(keeper);
    clock.on_move(move || {
        if let Some(keeper) = told.upgrade() {
            keeper.clock_moved();
        }
    });
}

fn data_folder(options: &DevOptions) -> Result<DataFolder> {
    let path = if options.ephemeral {
        let unique = u64::from_be_bytes(draw(&SystemEntropy));
        std::env::temp_dir().join(format!("mintkeep-{unique:016x}"))
    } else {
        options.data.clone()
    };
    folder::make_folder(&path)?;
    folder::make_folder(&path.join("sandbox"))?;
    Ok(DataFolder { path: path.canonicalize()?, is_temporary: options.ephemeral })
}

/// The master key in `DIR/master.key`, made at the first start.
fn master_keys(data: &Path) -> Result<MasterKeys> {
    let new = || MasterKey::encode(&draw(&SystemEntropy)).to_string();
    let text = folder::secret_or_new(&data.join("master.key"), new)?;
    Ok(MasterKeys::new(MasterKeyRing::new(MasterKey::parse(&text)?, vec![])))
}

/// 256 random bits in hexadecimal.
fn new_token() -> String {
    hexadecimal(&draw::<32>(&SystemEntropy))
}
