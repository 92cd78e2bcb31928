//! Where the store is.

use std::path::PathBuf;

use mintkeep_protocol::time::Clock as _;
use mintkeep_store::{DatabaseError, PostgresStore};
use mintkeep_web::clock::SystemClock;
use zeroize::Zeroizing;

use super::StoreSettings;
use super::reader::{At, Notes, Remark, Section};
use super::secret::{Reading, Surroundings};

/// The section that names the store.
pub fn read(mut section: Section<'_, '_>, around: &Surroundings<'_>) -> Option<StoreSettings> {
    let (path, url) = (section.text("path"), section.text("url"));
    let (notes, line) = (section.notes(), section.line);
    section.finish();
    match (path, url) {
        (Some(path), None) => folder(&path, around, notes).map(StoreSettings::Embedded),
        (None, Some(url)) => database("store.url", &url, around, notes).map(StoreSettings::Postgres),
        (Some(_), Some(url)) => {
            let what = "`store.path` and `store.url` are both given";
            notes.mistake(url.line, what, "keep path for an embedded store, or url for PostgreSQL");
            None
        }
        (None, None) => {
            notes.mistake(line, "`store.path` is missing", "write path = \"FOLDER\", or url for PostgreSQL");
            None
        }
    }
}

/// The folder of an embedded store. It is made when it is not there, so what is there on the way to it must be folders.
fn folder(named: &At<String>, around: &Surroundings<'_>, notes: &Notes<'_>) -> Option<PathBuf> {
    let path = around.path(&named.value);
    let in_the_way = path.ancestors().find(|part| part.exists()).filter(|part| !part.is_dir());
    let what = match in_the_way {
        Some(file) => format!("`store.path` needs a folder where {} is a file", file.display()),
        None if named.value.is_empty() => "`store.path` is empty".to_owned(),
        None => return Some(path),
    };
    notes.mistake(named.line, what, "write the path of a folder that only this server uses");
    None
}

/// The URL of a database that the command line names as the configuration does: with a password only by reference.
/// Beside it the warnings.
///
/// # Errors
///
/// What is wrong, and what to write.
pub fn database_url(option: &str, text: &str) -> Result<(Zeroizing<String>, Vec<String>), String> {
    #[expect(clippy::disallowed_methods, reason = "the database's URL may be in the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let (folder, now) = (PathBuf::new(), SystemClock.now());
    let around = Surroundings { folder, variable: &variable, now, reading: Reading::First };
    let notes = Notes::new("");
    let url = database(option, &At { line: 1, value: text.to_owned() }, &around, &notes);
    let (mistakes, warnings) = notes.into_remarks();
    // There is one line: its number says nothing.
    let told = |remarks: &[Remark]| {
        remarks.iter().map(|it| format!("{}; {}", it.what, it.remedy)).collect::<Vec<_>>()
    };
    match url {
        Some(url) => Ok((url, told(&warnings))),
        None => Err(told(&mistakes).join("; ")),
    }
}

/// The URL itself if it holds no password, or what it refers to.
fn database(
    setting: &str,
    url: &At<String>,
    around: &Surroundings<'_>,
    notes: &Notes<'_>,
) -> Option<Zeroizing<String>> {
    let text = if is_postgres(&url.value) && !has_password(&url.value) {
        Zeroizing::new(url.value.clone())
    } else {
        around.secret(setting, url, notes)?
    };
    let readable = if is_postgres(&text) { PostgresStore::check_url(&text) } else { Err(DatabaseError::Url) };
    let Err(error) = readable else { return Some(text) };
    if let DatabaseError::Tls { cause } = error {
        notes.mistake(url.line, format!("`{setting}` asks for TLS that can't be had"), cause);
    } else {
        let what = format!("`{setting}` does not refer to the URL of a PostgreSQL database");
        notes.mistake(url.line, what, "write postgres://USER@HOST/DATABASE there");
    }
    None
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether a database's URL has a password, before the host or among the parameters.
///
/// Read as the driver does: user and password are what is before the first `@`, whatever is in them.
fn has_password(url: &str) -> bool {
    let (_scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (user, place) = rest.split_once('@').unwrap_or(("", rest));
    let (_place, query) = place.split_once('?').unwrap_or((place, ""));
    user.contains(':') || query.split('&').any(|parameter| parameter.starts_with("password"))
}
