//! The list of credentials: whose tokens are held, and how they are doing.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use mintkeep_protocol::ident::{AppId, CredentialName};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::console::wording::relative;
use mintkeep_web::console::{Form, Notice, Visit, wish};
use serde_json::json;

use super::{ROWS, Room, Standing, page_of};
use crate::admin_routes::credentials::CredentialAdd;
use crate::admin_routes::{by, problem_of};
use crate::keeper::Keeper;
use crate::roster::Account;

struct Row {
    name: CredentialName,
    app: AppId,
    dialect: &'static str,
    standing: Standing,
    /// When its token ends, from now.
    end: Option<String>,
}

#[derive(Template)]
#[template(path = "console/credentials.html")]
struct CredentialsBody<'p> {
    form: &'p Form<'p>,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<CredentialName>,
    kinds: [(&'static str, &'static str); 5],
}

/// Where tokens may come from, as the form has it, and in words.
const KINDS: [(&str, &str); 5] = [
    ("wechat", "wechat, from stable_token"),
    ("wechat-legacy", "wechat, from token"),
    ("dingtalk", "dingtalk"),
    ("miniprogram", "miniprogram"),
    ("alipayhk", "alipayhk"),
];
/// The fields of the form that adds a credential.
const FIELDS: [&str; 7] =
    ["private_key_pem", "platform_public_key_pem", "secret", "base_url", "app_id", "name", "dialect"];

fn row_of(keeper: &Keeper, account: &Account, now: Timestamp) -> Row {
    let credential = &account.credential;
    let leaf = keeper.leaf(account, None);
    let end = leaf.as_ref().and_then(|leaf| Some(relative(leaf.kept.as_ref()?.expires_at, now)));
    let standing = match leaf.as_deref() {
        _ if account.is_per_customer() => Standing { word: "its customers’", class: "" },
        None => Standing { word: "not asked for yet", class: "" },
        Some(leaf) => Standing::of(&leaf.upkeep, leaf.good(now).is_some()),
    };
    Row {
        name: credential.name.clone(),
        app: credential.app.clone(),
        dialect: credential.source.dialect().name(),
        standing,
        end,
    }
}

/// `GET /credentials`.
pub(super) async fn list(State(Room(keeper)): State<Room>, visit: Visit) -> Response {
    let after = visit.field("after").unwrap_or_default();
    listed(&keeper, &visit, (after, &Form::new(&visit)))
}

fn listed(keeper: &Keeper, visit: &Visit, (after, form): (&str, &Form<'_>)) -> Response {
    let is_first = after.is_empty();
    let all = keeper.credentials();
    let mut further = all.iter().filter(|account| account.credential.name.as_str() > after);
    let now = keeper.clock.now();
    let rows: Vec<Row> = further.by_ref().take(ROWS).map(|account| row_of(keeper, account, now)).collect();
    let next = further.next().and_then(|_| rows.last().map(|row| row.name.clone()));
    visit.form_page("Credentials", &CredentialsBody { form, rows, is_first, next, kinds: KINDS }, form)
}

/// `POST /credentials`: leads to the new credential's page.
pub(super) async fn add(State(Room(keeper)): State<Room>, visit: Visit) -> Response {
    let (dialect, is_legacy) = match visit.field("dialect") {
        Some("wechat-legacy") => (Some("wechat"), true),
        other => (other, false),
    };
    let fields = json!({
        "name": visit.field("name"),
        "dialect": dialect,
        "legacy": is_legacy,
        "app_id": visit.field("app_id"),
        "base_url": visit.field("base_url"),
        "proof": {
            "secret": visit.field("secret"),
            "private_key_pem": visit.field("private_key_pem"),
            "platform_public_key_pem": visit.field("platform_public_key_pem"),
        },
    });
    let outcome = match wish::<CredentialAdd>(fields).and_then(CredentialAdd::read) {
        Err(problem) => Err(problem),
        Ok(new) => {
            let added = keeper.add_credential(new, &by(visit.arrival())).await;
            added.map_err(|failure| problem_of(&failure))
        }
    };
    match outcome {
        Err(problem) => listed(&keeper, &visit, ("", &Form::refused(&visit, &problem, &FIELDS))),
        Ok(account) => {
            let notice = Notice::said("The credential was added. Its first token is being asked for.");
            visit.back(&page_of(&account.credential.name, None), Ok(notice))
        }
    }
}
