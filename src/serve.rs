//! `mintkeep serve`: the roles of a configuration file, until SIGTERM.

use std::future::pending;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Result;
use mintkeep_issuer::consent;
use mintkeep_keeper::admin_routes;
use mintkeep_protocol::crypto::{MasterKeys, ReadMasterKeys};
use mintkeep_web::access_log::AccessLog;
use mintkeep_web::admin_api;
use mintkeep_web::admin_token::AdminToken;
use mintkeep_web::clock::SystemClock;
use mintkeep_web::serve::Manners;

use crate::admin_listener;
use crate::certificates;
use crate::config::{self, DrainSettings, IssuerSettings, ListenerSettings, Settings};
use crate::engine::Engine;
use crate::master_key;
use crate::telemetry::{self, Metrics};
use crate::wiring::{self, Door, Process};

/// Runs until SIGINT or SIGTERM.
pub async fn run(file: &Path) -> Result<()> {
    let hangup = certificates::told_to_renew()?;
    let mut told_to_stop = pin!(wiring::told_to_stop()?);
    let (settings, warnings) = config::load(file)?;
    let (log, log_writer) = AccessLog::start(settings.log.format, std::io::stderr())?;
    let metrics = telemetry::install(settings.log, &log)?;
    config::warn(&warnings);
    let clock = Arc::new(SystemClock);
    let process = wiring::process(clock.clone(), settings.log.access.then_some(log));
    let engine = tokio::select! {
        engine = Engine::open(&settings.store, clock) => engine?,
        () = &mut told_to_stop => {
            tracing::info!("stopped before the store was open");
            drop(log_writer);
            return Ok(());
        }
    };

    let drain = settings.drain;
    let shown = certificates::shown(&settings);
    let served = tokio::select! {
        served = serve(settings, keys_of(file), (&process, &engine, &metrics)) => served,
        () = told_to_stop => Ok(()),
        () = certificates::renew(hangup, file, &shown) => Ok(()),
    };
    let drain = if served.is_ok() { drain } else { DrainSettings::AT_ONCE };
    let stopped = wiring::stop(&process, drain).await;
    engine.close();
    tracing::info!("stopped");
    drop(log_writer);
    served.and(stopped)
}

/// Reads the master keys anew, for their rotation.
fn keys_of(file: &Path) -> ReadMasterKeys {
    let file = file.to_owned();
    Box::new(move || match config::load_again(&file) {
        Ok((settings, _warnings)) => Ok(settings.master),
        Err(_) => Err("the configuration has mistakes: see `mintkeep config check`".to_owned()),
    })
}

/// Starts, and serves without end.
async fn serve(
    settings: Settings,
    master_keys: ReadMasterKeys,
    (process, engine, metrics): (&Process, &Engine, &Metrics),
) -> Result<()> {
    let manners =
        Manners { limits: settings.limits, trusted_proxies: settings.trusted_proxies, ..Manners::default() };
    // All addresses are taken before anything is begun: one that is not free is told at once.
    let admin_door = open_door("admin", settings.admin, &manners).await?;
    let issuer_door = match settings.issuer {
        None => None,
        Some(IssuerSettings { listener, public_url, consent }) => {
            Some((open_door("issuer", listener, &manners).await?, public_url, consent))
        }
    };
    let keeper_door = match settings.keeper {
        None => None,
        Some(listener) => Some(open_door("keeper", listener, &manners).await?),
    };

    let records = engine.records(Arc::new(MasterKeys::followed(settings.master, master_keys)));
    let token = AdminToken::new(&settings.admin_token);
    let mut admin = admin_api::router(Arc::clone(&records.issuer), token);
    let mut rooms = Vec::new();
    if let Some((door, url, consent)) = issuer_door {
        let issuer = wiring::open_issuer(process, &records, (url, settings.limits)).await?;
        let pages = consent::router(Arc::clone(&issuer), consent);
        wiring::serve_issuer(process, door, &issuer, (pages, None));
        rooms.push(mintkeep_issuer::console::rooms(Arc::clone(&issuer), None));
        admin = admin_listener::beside(admin, mintkeep_issuer::admin::router(issuer, None, token));
    }
    let mut keeper_here = None;
    if let Some(door) = keeper_door {
        let keeper = wiring::open_keeper(process, &records, settings.limits).await?;
        wiring::serve_keeper(process, door, &keeper);
        rooms.push(mintkeep_keeper::console::rooms(Arc::clone(&keeper)));
        admin = admin_listener::beside(admin, admin_routes::router(Arc::clone(&keeper), token));
        keeper_here = Some(keeper);
    }
    let master_key = master_key::router(process, &records, keeper_here, token);
    let (admin, api) = admin_listener::beside(admin, master_key);
    let console = admin_listener::console(
        process,
        (&admin_door, settings.admin_public_url),
        Arc::clone(&records.issuer),
        token,
        rooms,
    );
    wiring::serve_admin(
        process,
        admin_door,
        (metrics, engine.watch(&process.background)),
        (admin.merge(console), api),
    );
    process.house.readiness.started();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    pending().await
}

async fn open_door(name: &'static str, settings: ListenerSettings, manners: &Manners) -> Result<Door> {
    let bound = wiring::bind(name, settings.listen).await?;
    tracing::info!(listener = name, address = %bound.address, tls = settings.tls.is_some(), "listening");
    let manners = Manners { title_case_headers: settings.title_case_headers, ..manners.clone() };
    Ok(Door { bound, tls: settings.tls, manners })
}
