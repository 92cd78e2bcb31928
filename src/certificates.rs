//! New certificates without a restart: SIGHUP reads the configuration file again and shows what it names.

use std::path::Path;

use anyhow::Result;
use mintkeep_web::tls::Tls;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, Settings};

/// The TLS of each listener, by name.
pub type Shown = [(&'static str, Option<Tls>); 3];

/// The TLS that `settings` name.
pub fn shown(settings: &Settings) -> Shown {
    [
        ("admin", settings.admin.tls.clone()),
        ("issuer", settings.issuer.as_ref().and_then(|issuer| issuer.listener.tls.clone())),
        ("keeper", settings.keeper.as_ref().and_then(|listener| listener.tls.clone())),
    ]
}

/// From the call on SIGHUP does not kill; what comes back tells of each. To be called first of all: a server that is
/// still starting may be told of new certificates too.
///
/// # Errors
///
/// The operating system tells no signals.
pub fn told_to_renew() -> Result<Signal> {
    Ok(signal(SignalKind::hangup())?)
}

/// At each SIGHUP, lets `shown` take over what `file` names by then. Without end.
///
/// A file with a mistake changes nothing. Whether a listener speaks TLS at all is not changed either.
pub async fn renew(mut hangup: Signal, file: &Path, shown: &Shown) {
    while hangup.recv().await.is_some() {
        take_over(file, shown);
    }
}

fn take_over(file: &Path, shown: &Shown) {
    let settings = match config::load_again(file) {
        Ok((settings, warnings)) => {
            // Of an expired certificate, say: it is shown, for it may be all that there is.
            config::warn(&warnings);
            settings
        }
        Err(error) => {
            tracing::error!(%error, "SIGHUP: the certificates stay as they are");
            return;
        }
    };
    for ((listener, current), (_, fresh)) in shown.iter().zip(self::shown(&settings)) {
        match (current, fresh) {
            (Some(current), Some(fresh)) => {
                current.take_over(&fresh);
                tracing::info!(listener, "SIGHUP: new connections see the certificates of the file");
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                tracing::warn!(listener, "SIGHUP: restart the server to turn TLS on or off");
            }
        }
    }
}
