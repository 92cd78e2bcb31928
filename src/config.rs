//! The configuration file of `mintkeep serve`: read in one go, with all it refers to.
//!
//! There is no setting for the sandbox, its clock or its fault rules: a production server has none.

mod issuer;
mod listener;
mod reader;
mod secret;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use mintkeep_protocol::crypto::{MasterKey, MasterKeyRing};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::Clock as _;
use mintkeep_web::access_log::Format;
use mintkeep_web::arrival::network_of;
use mintkeep_web::clock::SystemClock;
use mintkeep_web::limits::Limits;
use tracing::Level;

pub use issuer::IssuerSettings;
pub use listener::ListenerSettings;
pub use reader::Remark;
use reader::{Notes, Section};
use secret::{Reading, Surroundings};
pub use store::database_url;

use crate::say::{write_line, write_out};

/// What `mintkeep config example` prints.
const EXAMPLE: &str = include_str!("config/example.toml");

/// Shortest admin token, in characters.
const ADMIN_TOKEN_CHARS_MIN: usize = 32;

/// A whole configuration, with its secrets and certificates.
pub struct Settings {
    /// The issuer's settings; `None`: this server issues nothing.
    pub issuer: Option<IssuerSettings>,
    /// The keeper's listener; `None`: this server keeps nothing.
    pub keeper: Option<ListenerSettings>,
    /// The admin listener.
    pub admin: ListenerSettings,
    /// What the admin API's callers show.
    pub admin_token: ClientSecret,
    /// Where browsers find the console; `None`: at the listener itself.
    pub admin_public_url: Option<String>,
    /// Where records are kept.
    pub store: StoreSettings,
    /// What everything at rest is derived from or sealed under.
    pub master: MasterKeyRing,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Of every listener.
    pub limits: Limits,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How the server leaves.
    pub drain: DrainSettings,
}

/// Where records are kept.
pub enum StoreSettings {
    /// In an embedded store in this folder.
    Embedded(PathBuf),
    /// In PostgreSQL, at a URL that may hold a password.
    Postgres(zeroize::Zeroizing<String>),
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy)]
pub struct LogSettings {
    /// How lines look.
    pub format: Format,
    /// Of our own events; other libraries' never come below warnings.
    pub level: Level,
    /// Whether each request leaves a line.
    pub access: bool,
}

/// How the server leaves.
#[derive(Debug, Clone, Copy)]
pub struct DrainSettings {
    /// From "not ready" until the listeners close.
    pub notice: Duration,
    /// How long requests in flight may take after that.
    pub deadline: Duration,
}

impl DrainSettings {
    /// No notice, since nobody balances; what is in flight gets the usual time.
    pub const AT_ONCE: Self = Self { notice: Duration::ZERO, deadline: Duration::from_secs(25) };
}

/// All that is wrong with a configuration.
#[derive(Debug)]
pub struct Rejected {
    /// The file.
    pub file: PathBuf,
    /// By line.
    pub mistakes: Vec<Remark>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} can't be used", self.file.display())?;
        for mistake in &self.mistakes {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejected {}

/// Reads a configuration file and all it refers to; gives it with the warnings.
///
/// # Errors
///
/// [`Rejected`]: with every mistake that was found.
pub fn load(file: &Path) -> Result<(Settings, Vec<Remark>), Rejected> {
    load_as(file, Reading::First)
}

/// As [`load`], in a running server: it waits for nobody who writes into a pipe.
///
/// # Errors
///
/// [`Rejected`]: with every mistake that was found.
pub fn load_again(file: &Path) -> Result<(Settings, Vec<Remark>), Rejected> {
    load_as(file, Reading::Again)
}

fn load_as(file: &Path, reading: Reading) -> Result<(Settings, Vec<Remark>), Rejected> {
    let rejected = |mistakes| Rejected { file: file.to_owned(), mistakes };
    let text = reading.allows(file).and_then(|()| std::fs::read_to_string(file)).map_err(|error| {
        let what = format!("the file can't be read ({error})");
        let remedy = "write one from `mintkeep config example`".to_owned();
        rejected(vec![Remark { line: 1, what, remedy }])
    })?;
    #[expect(clippy::disallowed_methods, reason = "the configuration's secrets may be in the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let around = Surroundings { folder, variable: &variable, now: SystemClock.now(), reading };
    read(&text, &around).map_err(rejected)
}

/// `mintkeep config example`.
pub fn print_example() {
    write_out(EXAMPLE.as_bytes());
}

/// Tells the log what works and is hardly meant so.
pub fn warn(warnings: &[Remark]) {
    for warning in warnings {
        tracing::warn!(line = warning.line, what = warning.what, remedy = warning.remedy, "configuration");
    }
}

/// `mintkeep config check FILE`: says what is wrong, or what works and is hardly meant so.
pub fn check(file: &Path) -> anyhow::Result<()> {
    let (_settings, warnings) = load(file)?;
    for warning in warnings {
        write_line(&format!("warning: {warning}"));
    }
    write_line(&format!("{} can be served", file.display()));
    Ok(())
}

/// Reads a configuration's text and all it refers to.
fn read(text: &str, around: &Surroundings<'_>) -> Result<(Settings, Vec<Remark>), Vec<Remark>> {
    let notes = Notes::new(text);
    let mut document = notes.document();
    let settings = read_document(&mut document, around);
    document.finish();
    let (mistakes, warnings) = notes.into_remarks();
    match settings {
        Some(settings) if mistakes.is_empty() => Ok((settings, warnings)),
        _ => Err(mistakes),
    }
}

/// Reads every section before it gives up on any, so that all mistakes are noted.
fn read_document(document: &mut Section<'_, '_>, around: &Surroundings<'_>) -> Option<Settings> {
    let issuer = document.section("issuer").map(|section| issuer::read(section, around));
    let keeper = document.section("keeper").map(|section| listener::read_keeper(section, around));
    let admin = document.section("admin");
    let admin = document.require("admin", admin, "write [admin] with listen and token");
    let admin = admin.and_then(|section| read_admin(section, around));
    let store = document.section("store");
    let store = document.require("store", store, "write [store] with path, or with url");
    let store = store.and_then(|section| store::read(section, around));
    let master = document.section("master_key");
    let master = document.require("master_key", master, "write [master_key] with current");
    let master = master.and_then(|section| read_master_key(section, around));
    let log = document.section("log").map_or(DEFAULT_LOG, read_log);
    let limits = document.section("limits").map_or_else(Limits::default, read_limits);
    let trusted_proxies = document.section("proxies").map_or_else(Vec::new, read_proxies);
    let drain = document.section("drain").map_or(DEFAULT_DRAIN, read_drain);

    if issuer.is_none() && keeper.is_none() {
        let remedy = "write [issuer], [keeper] or both";
        document.notes().mistake(1, "this server has no role", remedy);
    }
    let listeners = [
        issuer.as_ref().and_then(Option::as_ref).map(|issuer| ("issuer", &issuer.listener)),
        keeper.as_ref().and_then(Option::as_ref).map(|listener| ("keeper", listener)),
        admin.as_ref().map(|(listener, ..)| ("admin", listener)),
    ];
    listener::check_addresses(listeners, document.notes());

    let (admin, admin_token, admin_public_url) = admin?;
    Some(Settings {
        issuer: issuer.map_or(Some(None), |read| read.map(Some))?,
        keeper: keeper.map_or(Some(None), |read| read.map(Some))?,
        admin,
        admin_token,
        admin_public_url,
        store: store?,
        master: master?,
        log,
        limits,
        trusted_proxies,
        drain,
    })
}

fn read_admin(
    mut section: Section<'_, '_>,
    around: &Surroundings<'_>,
) -> Option<(ListenerSettings, ClientSecret, Option<String>)> {
    let listener = listener::read(&mut section, around);
    let named = section.text("token");
    let remedy =
        "write token = \"file:PATH\" or \"env:VARIABLE\"; whoever shows that token may do everything";
    let token = section.require("token", named, remedy).and_then(|named| {
        let token = around.secret("admin.token", &named, section.notes())?;
        if token.chars().count() < ADMIN_TOKEN_CHARS_MIN {
            let what = format!("`admin.token` has fewer than {ADMIN_TOKEN_CHARS_MIN} characters");
            section.notes().mistake(named.line, what, "make one with `openssl rand -hex 32`");
        } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = "`admin.token` has characters that no header can carry";
            section.notes().mistake(named.line, what, "make one with `openssl rand -hex 32`, on one line");
        }
        Some(ClientSecret::new(token.as_str().to_owned()))
    });
    let expected = "a URL without a path, such as \"https://admin.example.com\"";
    let public_url = section.parsed("public_url", expected, issuer::origin);
    section.finish();
    Some((listener?, token?, public_url.map(|url| url.value)))
}

fn read_master_key(mut section: Section<'_, '_>, around: &Surroundings<'_>) -> Option<MasterKeyRing> {
    let notes = section.notes();
    let key = |setting: &str, named: &reader::At<String>| {
        let text = around.secret(setting, named, notes)?;
        let key = MasterKey::parse(&text).ok();
        if key.is_none() {
            let what = format!("`{setting}` does not refer to a master key");
            notes.mistake(named.line, what, "make one with `mintkeep key generate --master`");
        }
        key
    };
    let current = section.text("current");
    let current = section.require("current", current, "write current = \"file:PATH\" or \"env:VARIABLE\"");
    let current = current.and_then(|named| key("master_key.current", &named));
    let older = section.texts("older").iter().filter_map(|named| key("master_key.older", named)).collect();
    section.finish();
    Some(MasterKeyRing::new(current?, older))
}

const DEFAULT_LOG: LogSettings = LogSettings { format: Format::Json, level: Level::INFO, access: true };

fn read_log(mut section: Section<'_, '_>) -> LogSettings {
    let format = section.parsed("format", "\"json\" or \"text\"", |text| match text {
        "json" => Some(Format::Json),
        "text" => Some(Format::Text),
        _ => None,
    });
    let levels = "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
    let level = section.parsed("level", levels, |text| match text {
        "error" => Some(Level::ERROR),
        "warn" => Some(Level::WARN),
        "info" => Some(Level::INFO),
        "debug" => Some(Level::DEBUG),
        "trace" => Some(Level::TRACE),
        _ => None,
    });
    let access = section.flag("access");
    section.finish();
    LogSettings {
        format: format.map_or(DEFAULT_LOG.format, |at| at.value),
        level: level.map_or(DEFAULT_LOG.level, |at| at.value),
        access: access.unwrap_or(DEFAULT_LOG.access),
    }
}

fn read_limits(mut section: Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let mut bytes = |key, range, default| {
        let number = section.number(key, range, "bytes").and_then(|number| usize::try_from(number).ok());
        number.unwrap_or(default)
    };
    let body_bytes_max = bytes("body_bytes_max", 1024..=16_777_216, default.body_bytes_max);
    let header_bytes_max = bytes("header_bytes_max", 1024..=1_048_576, default.header_bytes_max);
    let request_line_bytes_max =
        bytes("request_line_bytes_max", 1024..=65_536, default.request_line_bytes_max);
    let connections_max = section.number("connections_max", 1..=1_000_000, "connections");
    let connections_max = connections_max.and_then(|number| usize::try_from(number).ok());
    let mut seconds =
        |key, default| section.number(key, 1..=3600, "seconds").map_or(default, Duration::from_secs);
    let read_timeout = seconds("read_timeout_s", default.read_timeout);
    let idle_timeout = seconds("idle_timeout_s", default.idle_timeout);
    let request_deadline = seconds("request_deadline_s", default.request_deadline);
    section.finish();
    Limits {
        body_bytes_max,
        header_bytes_max,
        request_line_bytes_max,
        read_timeout,
        idle_timeout,
        request_deadline,
        connections_max: connections_max.unwrap_or(default.connections_max),
    }
}

fn read_proxies(mut section: Section<'_, '_>) -> Vec<IpNet> {
    let mut trusted = Vec::new();
    for named in section.texts("trusted") {
        if let Some(net) = network_of(&named.value) {
            trusted.push(net);
        } else {
            let what = format!("`proxies.trusted` can't hold {:?}", named.value);
            let remedy = "write an address, or a network such as \"10.0.0.0/8\"";
            section.notes().mistake(named.line, what, remedy);
        }
    }
    section.finish();
    trusted
}

const DEFAULT_DRAIN: DrainSettings =
    DrainSettings { notice: Duration::from_secs(3), deadline: Duration::from_secs(25) };

fn read_drain(mut section: Section<'_, '_>) -> DrainSettings {
    let mut seconds =
        |key, default| section.number(key, 0..=3600, "seconds").map_or(default, Duration::from_secs);
    let notice = seconds("notice_s", DEFAULT_DRAIN.notice);
    let deadline = seconds("deadline_s", DEFAULT_DRAIN.deadline);
    section.finish();
    DrainSettings { notice, deadline }
}
