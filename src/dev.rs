//! `mintkeep dev`: both roles on loopback, the sandbox on, nothing to set up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use mintkeep_issuer::admin::{self, MovableClock as _};
use mintkeep_issuer::faults::Faults;
use mintkeep_issuer::issuer::{Issuer, IssuerParts};
use mintkeep_keeper::settings::KeeperSettings;
use mintkeep_keeper::upstream::HyperUpstream;
use mintkeep_keeper::{Keeper, KeeperParts};
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing};
use mintkeep_protocol::port::entropy::{Entropy, SystemEntropy, draw};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_store::{SqliteOptions, SqliteStore};
use mintkeep_web::access_log::{AccessLog, Format};
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::limits::Limits;
use mintkeep_web::serve::{House, Manners};

use crate::args::DevOptions;
use crate::sandbox_clock::SandboxClock;
use crate::welcome::Welcome;
use crate::{admin_listener, folder, sandbox, sandbox_keeper, welcome, wiring};

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
            eprintln!("mintkeep: {} is left behind: {error}", self.path.display());
        }
    }
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(options: DevOptions) -> Result<()> {
    for address in [options.issuer, options.keeper, options.admin] {
        if !address.ip().is_loopback() {
            bail!(
                "{address} is not a loopback address; the sandbox has known secrets and must not be reached from outside. For production use `mintkeep serve`"
            );
        }
    }
    let data = data_folder(&options)?;
    let (log, log_writer) = AccessLog::start(Format::Text, std::io::stderr())?;
    let clock = Arc::new(SandboxClock::open(data.path.join("sandbox").join("clock"))?);
    let house = wiring::house(clock.clone(), Some(log));
    let store = SqliteStore::open(&data.path, SqliteOptions::new(clock.clone()))?;

    let served = serve(&options, &data.path, (&house, clock, Arc::clone(&store))).await;
    let stopped = wiring::stop(&house, Duration::ZERO).await;
    store.close();
    drop(log_writer);
    served.and(stopped)
}

async fn serve(
    options: &DevOptions,
    data: &Path,
    (house, clock, store): (&House, Arc<SandboxClock>, Arc<SqliteStore>),
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

    let admin_token = folder::secret_or_new(&data.join("admin.token"), new_token)?;
    let master = Arc::new(master_keys(data)?);
    let issuer = Issuer::open(IssuerParts {
        store: store.clone(),
        clock: clock.clone(),
        entropy: house.entropy.clone(),
        tasks: house.tasks.clone(),
        master: master.clone(),
        limits: Limits::default(),
        public_url: format!("http://{}", issuer_socket.address),
    })
    .await?;
    sandbox::seed(&issuer, data).await?;
    let faults = Arc::new(Faults::new(house.entropy.clone()));

    let routes = mintkeep_issuer::routes::router(Arc::clone(&issuer), Some(Arc::clone(&faults)));
    wiring::start(house, issuer_socket, routes, Manners::default(), None);
    let sandbox = admin::Sandbox { clock: clock.clone(), faults };
    let token = AdminToken::new(&ClientSecret::new(admin_token));
    let (admin_routes, admin_api) = admin::router(Arc::clone(&issuer), Some(sandbox), token);
    let admin = admin_listener::router(house.readiness.clone(), admin_routes, admin_api);
    wiring::start(house, admin_socket, admin, Manners::default(), None);
    let keeper = keeper(house, &clock, store, master).await?;
    sandbox_keeper::seed(&keeper, &issuer, data).await?;
    let routes = mintkeep_keeper::routes::router(Arc::clone(&keeper));
    wiring::start(house, keeper_socket, routes, Manners::default(), None);
    house.readiness.started();
    welcome::print(&welcome, clock.offset());
    wiring::told_to_stop().await
}

/// The keeper over the same store. It looks at its timetable again whenever the clock is moved.
async fn keeper(
    house: &House,
    clock: &Arc<SandboxClock>,
    store: Arc<SqliteStore>,
    master: Arc<MasterKeyRing>,
) -> Result<Arc<Keeper>> {
    let settings = KeeperSettings::default();
    let keeper = Keeper::new(KeeperParts {
        store,
        upstream: Arc::new(HyperUpstream::new(&settings)),
        clock: clock.clone(),
        entropy: house.entropy.clone(),
        master,
        tasks: house.tasks.clone(),
        settings,
    });
    keeper.start().await?;
    let told = Arc::downgrade(&keeper);
    clock.on_move(move || {
        if let Some(keeper) = told.upgrade() {
            keeper.clock_moved();
        }
    });
    Ok(keeper)
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
fn master_keys(data: &Path) -> Result<MasterKeyRing> {
    let new = || MasterKey::encode(&draw(&SystemEntropy)).to_string();
    let text = folder::secret_or_new(&data.join("master.key"), new)?;
    Ok(MasterKeyRing::new(MasterKey::parse(&text)?, vec![]))
}

/// 256 random bits in hexadecimal.
fn new_token() -> String {
    let mut bytes = [0_u8; 32];
    SystemEntropy.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
