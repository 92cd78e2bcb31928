//! Where the database is, from its URL, and how to reach whichever of its hosts takes writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};

use super::open::DatabaseError;
use super::tls::{Tls, Trust};

/// How long one of the URL's hosts may take to let us in. A host that is gone or frozen is passed over then.
const HOST_MAX: Duration = Duration::from_secs(2);

/// How long sent data may stay unacknowledged before the connection counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// After how much silence a connection is tried out, and how long between two tries.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// A setting of a session, and its value.
pub type Setting<'s> = (&'s str, &'s str);

/// Is given what others notify.
pub type Heard = Arc<dyn Fn(&str) + Send + Sync>;

/// A client, and the task that moves its bytes and ends with it.
pub type Connected = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

/// A database's hosts, in the URL's order, and how to talk to them.
#[derive(Clone)]
pub struct Address {
    /// All but the last.
    before: Vec<Config>,
    last: Config,
    /// What is said first in every session. Not with the connection's other parameters, which a pooler refuses.
    greeting: String,
    /// `None`: in the clear.
    tls: Option<Tls>,
}

impl Address {
    /// Reads a URL. `settings` are made in every session, unless the URL's own `options` name them.
    pub fn parse(url: &str, settings: &[Setting<'_>]) -> Result<Self, DatabaseError> {
        let (plain_url, parameters) = without_tls_parameters(url);
        let tls = tls_of(&parameters)?;
        let (before, last) = one_by_one(&plain_url);
        let config = |url: &String| config(url, tls.is_some());
        let last = config(&last)?;
        let greeting = greeting(settings, last.get_options().unwrap_or_default());
        Ok(Self { before: before.iter().map(config).collect::<Result<_, _>>()?, last, greeting, tls })
    }

    /// How long it may take until one of the hosts has let us in.
    pub fn connect_max(&self) -> Duration {
        let before = u32::try_from(self.before.len()).unwrap_or(u32::MAX);
        HOST_MAX.saturating_mul(before.saturating_add(1)).saturating_add(Duration::from_secs(1))
    }

    /// Connects to the first host that lets us in and is what `target_session_attrs` asks for.
    ///
    /// # Errors
    ///
    /// What the last host said. Give up after [`Self::connect_max`]: the last host's silence is not ended here.
    /// Whoever listens is given what others notify.
    pub async fn connect(&self, heard: Option<Heard>) -> Connected {
        for host in &self.before {
            if let Ok(Ok(connected)) =
                tokio::time::timeout(HOST_MAX, self.connect_to(host, heard.clone())).await
            {
                return Ok(connected);
            }
        }
        self.connect_to(&self.last, heard).await
    }

    async fn connect_to(&self, host: &Config, heard: Option<Heard>) -> Connected {
        let (client, driven) = if let Some(tls) = &self.tls {
            let (client, connection) = host.connect(tls.clone()).await?;
            (client, drive(connection, heard))
        } else {
            let (client, connection) = host.connect(NoTls).await?;
            (client, drive(connection, heard))
        };
        client.batch_execute(&self.greeting).await?;
        Ok((client, driven))
    }
}

/// The statements that make `settings`, but for those that `own` names.
fn greeting(settings: &[Setting<'_>], own: &str) -> String {
    let ours = settings.iter().filter(|(name, _)| !own.contains(name));
    ours.map(|(name, value)| format!("SET {name} = {value};")).collect::<Vec<_>>().concat()
}

/// The settings of one host's connections.
fn config(url: &str, is_encrypted: bool) -> Result<Config, DatabaseError> {
    let mut config: Config = url.parse().map_err(|_| DatabaseError::Url)?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(DatabaseError::Url);
    }
    config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
    config.connect_timeout(HOST_MAX).tcp_user_timeout(SILENCE_MAX);
    config.keepalives(true).keepalives_idle(KEEPALIVE_IDLE).keepalives_interval(KEEPALIVE_INTERVAL);
    if config.get_application_name().is_none() {
        config.application_name("mintkeep");
    }
    Ok(config)
}

/// Runs a connection until its client is gone or it breaks.
fn drive<S, T>(mut connection: Connection<S, T>, heard: Option<Heard>) -> JoinHandle<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "it is ended with its client")]
    tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            match (message, &heard) {
                (Ok(AsyncMessage::Notification(told)), Some(heard)) => heard(told.payload()),
                (Ok(_), _) => {}
                (Err(error), _) => {
                    tracing::debug!(%error, "a connection to the database ended");
                    return;
                }
            }
        }
    })
}

/// `sslmode` and `sslrootcert`, which are ours to read, and the URL without them.
#[derive(Debug, Default, PartialEq, Eq)]
struct TlsParameters {
    mode: Option<String>,
    roots: Option<PathBuf>,
}

fn without_tls_parameters(url: &str) -> (String, TlsParameters) {
    let mut parameters = TlsParameters::default();
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), parameters) };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => parameters.mode = Some(mode.to_owned()),
            Some(("sslrootcert", file)) => {
                let file = percent_decode_str(file).decode_utf8_lossy();
                // What PostgreSQL's own clients call the authorities that the system trusts.
                parameters.roots = (file != "system").then(|| PathBuf::from(file.as_ref()));
            }
            _ => rest.push(pair),
        }
    }
    (format!("{base}?{}", rest.join("&")), parameters)
}

fn tls_of(parameters: &TlsParameters) -> Result<Option<Tls>, DatabaseError> {
    let roots = parameters.roots.as_deref();
    let trust = match parameters.mode.as_deref() {
        None | Some("disable") => return Ok(None),
        // As PostgreSQL's own clients do: a named authority is not named for nothing.
        Some("require") if roots.is_none() => Trust::Any,
        Some("require" | "verify-ca") => Trust::Authority,
        Some("verify-full") => Trust::AuthorityAndName,
        Some(_) => {
            let cause = "sslmode is none of disable, require, verify-ca and verify-full".to_owned();
            return Err(DatabaseError::Tls { cause });
        }
    };
    Tls::new(trust, roots).map(Some).map_err(|cause| DatabaseError::Tls { cause })
}

/// The URLs of a URL's hosts alone: all before the last, and the last.
fn one_by_one(url: &str) -> (Vec<String>, String) {
    let parts = url
        .split_once("://")
        .map(|(scheme, rest)| (scheme, rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))));
    let Some((scheme, (authority, path))) = parts else { return (vec![], url.to_owned()) };
    let (user, hosts) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(_, hosts)| (authority.strip_suffix(hosts).unwrap_or_default(), hosts));
    let alone = |host: &str| format!("{scheme}://{user}{host}{path}");
    match hosts.rsplit_once(',') {
        Some((before, last)) => (before.split(',').map(alone).collect(), alone(last)),
        None => (vec![], url.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_hosts_in_turn_and_each_keeps_the_rest() {
        let cases: [(&str, &[&str], &str); 5] = [
            ("postgres://h/d", &[], "postgres://h/d"),
            ("postgres://u:p@a:1,b:2/d?x=y", &["postgres://u:p@a:1/d?x=y"], "postgres://u:p@b:2/d?x=y"),
            ("postgres://a,b,c", &["postgres://a", "postgres://b"], "postgres://c"),
            ("postgres://u@a,b?x=1,2", &["postgres://u@a?x=1,2"], "postgres://u@b?x=1,2"),
            ("postgres:///d?host=/run/postgresql", &[], "postgres:///d?host=/run/postgresql"),
        ];
        for (url, before, last) in cases {
            assert_eq!(one_by_one(url), (before.iter().map(ToString::to_string).collect(), last.to_owned()));
        }
    }

    #[test]
    fn a_session_is_told_our_settings_but_for_those_that_the_url_has_its_own_word_for() {
        let settings = [("statement_timeout", "5000"), ("enable_seqscan", "off")];
        let cases = [
            ("postgres://h/d", "SET statement_timeout = 5000;SET enable_seqscan = off;"),
            ("postgres://h/d?options=-c%20statement_timeout=9", "SET enable_seqscan = off;"),
        ];
        for (url, greeting) in cases {
            assert_eq!(Address::parse(url, &settings).unwrap().greeting, greeting, "{url}");
        }
    }

    #[test]
    fn the_parameters_of_tls_are_read_and_the_others_left() {
        let cases = [
            ("postgres://h/d", "postgres://h/d", None, None),
            ("postgres://h/d?sslmode=require", "postgres://h/d?", Some("require"), None),
            (
                "postgres://h/d?a=b&sslrootcert=/c%20a.pem&c=d",
                "postgres://h/d?a=b&c=d",
                None,
                Some("/c a.pem"),
            ),
            (
                "postgres://h/d?sslrootcert=system&sslmode=verify-full",
                "postgres://h/d?",
                Some("verify-full"),
                None,
            ),
        ];
        for (url, rest, mode, roots) in cases {
            let read = TlsParameters { mode: mode.map(Into::into), roots: roots.map(Into::into) };
            assert_eq!(without_tls_parameters(url), (rest.to_owned(), read));
        }
    }

    #[test]
    fn a_url_that_cannot_be_meant_is_refused_and_says_why() {
        let cases = [
            ("mysql://h/d", "no PostgreSQL url"),
            ("postgres:///d", "no PostgreSQL url"),
            (
                "postgres://h/d?sslmode=prefer",
                "sslmode is none of disable, require, verify-ca and verify-full",
            ),
            ("postgres://h/d?sslmode=verify-full&sslrootcert=/nowhere.pem", "sslrootcert /nowhere.pem"),
        ];
        for (url, why) in cases {
            let refusal =
                Address::parse(url, &[]).err().map(|refusal| refusal.to_string()).unwrap_or_default();
            assert!(refusal.contains(why), "{url}: {refusal}");
        }
    }

    #[test]
    fn every_host_has_its_time() {
        let cases = [("postgres://a/d", 3), ("postgres://a,b,c/d", 7)];
        for (url, seconds) in cases {
            let address = Address::parse(url, &[]).unwrap();
            assert_eq!(address.connect_max(), Duration::from_secs(seconds), "{url}");
        }
    }
}
