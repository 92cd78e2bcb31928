//! The list of apps, and one app: what it is, what it proves itself by, how long its tokens live.

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use mintkeep_protocol::app::{App, AppStatus};
use mintkeep_protocol::crypto::sha256;
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::asked::Filter;
use mintkeep_web::console::wording::{clip, length, relative, told};
use mintkeep_web::console::{Form, Notice, Visit};
use serde_json::{Value, json};

use super::{NAME_CHARS, ROWS, Standing, asked, named};
use crate::admin::app_words::AppView;
use crate::admin::apps;
use crate::admin::{AdminDesk, PageFilter};

/// How many entries of a list setting a page shows, and how much of each, in characters.
const ENTRIES: (usize, usize) = (8, 120);

const fn state_of(status: AppStatus) -> Standing {
    match status {
        AppStatus::Active => Standing { word: "active", class: "good" },
        AppStatus::SecretFrozen => Standing { word: "secret frozen", class: "bad" },
        AppStatus::Disabled => Standing { word: "disabled", class: "bad" },
    }
}

struct Row {
    id: AppId,
    name: String,
    dialect: &'static str,
    state: Standing,
}

#[derive(Template)]
#[template(path = "console/apps.html")]
struct AppsBody<'p> {
    form: &'p Form<'p>,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<AppId>,
    dialects: [&'static str; 4],
}

/// The fields of the form that makes an app.
const FIELDS: [&str; 5] = ["public_key_pem", "redirect_urls", "id", "name", "dialect"];

/// `GET /apps`.
pub(super) async fn list(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let after = visit.field("after").and_then(|after| AppId::parse(after).ok());
    listed(desk, &visit, (after, &Form::new(&visit))).await
}

async fn listed(desk: AdminDesk, visit: &Visit, (after, form): (Option<AppId>, &Form<'_>)) -> Response {
    let is_first = after.is_none();
    match apps::list(State(desk), Filter(PageFilter { after, most: Some(ROWS) })).await {
        Err(problem) => visit.problem(&problem),
        Ok(Json(page)) => {
            let rows = page.apps.into_iter().map(|app| Row {
                name: clip(&app.name, NAME_CHARS),
                dialect: app.dialect.name(),
                state: state_of(app.status),
                id: app.id,
            });
            let dialects = Dialect::ALL.map(Dialect::name);
            let body = AppsBody { form, rows: rows.collect(), is_first, next: page.next, dialects };
            visit.form_page("Apps", &body, form)
        }
    }
}

/// `POST /apps`: leads to the new app's page, which says once what was drawn for it.
pub(super) async fn create(State(desk): State<AdminDesk>, visit: Visit) -> Response {
    let redirect_urls: Vec<&str> = visit.field("redirect_urls").into_iter().collect();
    let fields = json!({
        "id": visit.field("id"),
        "dialect": visit.field("dialect"),
        "name": visit.field("name"),
        "public_key_pem": visit.field("public_key_pem"),
        "settings": { "redirect_urls": redirect_urls },
    });
    let made = match asked(fields) {
        Err(problem) => Err(problem),
        Ok(asked) => apps::create(State(desk.clone()), *visit.arrival(), asked).await,
    };
    match made {
        Err(problem) => listed(desk, &visit, (None, &Form::refused(&visit, &problem, &FIELDS))).await,
        Ok((_, Json(made))) => {
            let mut notice = Notice::said("The app was made.");
            if let Some(secret) = made.secret {
                notice = notice.with_secret("Its secret", secret);
            }
            if let Some(pem) = made.private_key_pem {
                notice = notice.with_secret("Its private key", pem);
            }
            visit.back(&format!("/apps/{}", made.app.id), Ok(notice))
        }
    }
}

/// A setting that differs from its default.
struct Setting {
    name: String,
    lines: Vec<String>,
}

/// A key, known again by a part of its digest.
struct Key {
    version: u32,
    print: String,
}

#[derive(Template)]
#[template(path = "console/app.html")]
struct AppBody<'p> {
    form_token: &'p str,
    id: &'p AppId,
    name: &'p str,
    dialect: &'static str,
    is_signed: bool,
    is_active: bool,
    state: Standing,
    made: String,
    /// Until when each secret is good.
    secrets: Vec<String>,
    keys: Vec<Key>,
    lifetimes: Vec<(&'static str, String)>,
    addresses: Vec<String>,
    settings: Vec<Setting>,
    revoked_times: u32,
}

/// `GET /apps/{id}`.
pub(super) async fn show(State(desk): State<AdminDesk>, path: Path<String>, visit: Visit) -> Response {
    let id = match named(&path, AppId::parse) {
        Ok(id) => id,
        Err(problem) => return visit.problem(&problem),
    };
    match desk.known_app(&id).await {
        Err(problem) => visit.problem(&problem),
        Ok(app) => {
            let body = body_of(&app, desk.issuer.now(), visit.form_token());
            visit.page(&clip(&app.name, NAME_CHARS), &body)
        }
    }
}

fn body_of<'p>(app: &'p App, now: Timestamp, form_token: &'p str) -> AppBody<'p> {
    let view = AppView::of(app, now);
    let end = |end: Option<Timestamp>| match end {
        None => "good without end".to_owned(),
        Some(end) => format!("good until {} ({})", told(end), relative(end, now)),
    };
    let key = |key: &mintkeep_protocol::app::AppKey| Key {
        version: key.version,
        print: fingerprint(&key.public.to_pem()),
    };
    let settings = serde_json::to_value(&view.settings).unwrap_or_default();
    let settings = settings.as_object().into_iter().flatten();
    AppBody {
        form_token,
        id: &app.id,
        name: &app.name,
        dialect: app.dialect.name(),
        is_signed: app.dialect.is_signed(),
        is_active: app.status == AppStatus::Active,
        state: state_of(app.status),
        made: told(app.created_at),
        secrets: view.secrets.iter().map(|secret| end(secret.expires_at)).collect(),
        keys: app.keys.iter().map(key).collect(),
        lifetimes: lifetimes_of(app),
        addresses: some_of(app.addresses.iter().map(ToString::to_string)),
        settings: settings
            .map(|(name, value)| Setting { name: name.clone(), lines: lines_of(value) })
            .collect(),
        revoked_times: app.token_epoch,
    }
}

fn lifetimes_of(app: &App) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("Access token", length(app.access_lifetime())),
        ("Predecessor after a renewal", length(app.overlap())),
    ];
    if app.dialect.is_signed() {
        told.push(("Refresh token", length(app.refresh_lifetime())));
        told.push(("Code", length(app.code_lifetime())));
    }
    told
}

fn lines_of(value: &Value) -> Vec<String> {
    match value.as_array() {
        Some(entries) => some_of(entries.iter().map(text_of)),
        None => vec![clip(&text_of(value), ENTRIES.1)],
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The first entries, and how many there are besides.
fn some_of(entries: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let left = entries.len().saturating_sub(ENTRIES.0);
    let mut lines: Vec<String> = entries.take(ENTRIES.0).map(|entry| clip(&entry, ENTRIES.1)).collect();
    if left > 0 {
        lines.push(format!("and {left} more"));
    }
    lines
}

/// The first eight bytes of a key's digest: enough for a person to tell two keys apart.
fn fingerprint(pem: &str) -> String {
    let digest = sha256(pem.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
