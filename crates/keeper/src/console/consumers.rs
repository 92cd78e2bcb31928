//! The keeper's callers: who may take which tokens.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use mintkeep_protocol::ident::ConsumerName;
use mintkeep_protocol::keep::consumer::{Consumer, CredentialScope};
use mintkeep_web::console::wording::{clip, told};
use mintkeep_web::console::{Confirm, Form, Notice, Visit, wish};
use mintkeep_web::problem::Problem;
use serde_json::json;

use super::{ROWS, Room};
use crate::admin::AdminFailure;
use crate::admin_routes::consumers::ConsumerCreate;
use crate::admin_routes::{by, problem_of};
use crate::keeper::Keeper;

/// How much of a list of credentials is shown, in characters.
const SCOPE_CHARS: usize = 200;
/// What a consumer may be allowed, as the API and the form have it, and what it is.
const VERBS: [(&str, &str); 5] = [
    ("read", "read tokens"),
    ("report", "report dead tokens"),
    ("exchange", "exchange codes"),
    ("forget", "have tokens forgotten"),
    ("proxy", "call through the proxy"),
];

/// The fields of the form that makes a consumer.
const FIELDS: [&str; 3] = ["credentials", "verbs", "name"];

struct Row {
    name: ConsumerName,
    credentials: String,
    verbs: String,
    made: String,
}

#[derive(Template)]
#[template(path = "console/consumers.html")]
struct ConsumersBody<'p> {
    form: &'p Form<'p>,
    rows: Vec<Row>,
    is_first: bool,
    next: Option<ConsumerName>,
    verbs: [(&'static str, &'static str); 5],
}

fn row_of(consumer: &Consumer) -> Row {
    let credentials = match &consumer.credentials {
        CredentialScope::All => "all".to_owned(),
        CredentialScope::Named(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let verbs = serde_json::to_value(&consumer.verbs).unwrap_or_default();
    let verbs = verbs.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    Row {
        name: consumer.name.clone(),
        credentials: clip(&credentials, SCOPE_CHARS),
        verbs: verbs.collect::<Vec<_>>().join(", "),
        made: told(consumer.created_at),
    }
}

/// `GET /consumers`.
pub(super) async fn list(State(Room(keeper)): State<Room>, visit: Visit) -> Response {
    let after = visit.field("after").unwrap_or_default();
    listed(&keeper, &visit, (after, &Form::new(&visit)))
}

fn listed(keeper: &Keeper, visit: &Visit, (after, form): (&str, &Form<'_>)) -> Response {
    let all = keeper.consumers();
    let mut further = all.iter().filter(|consumer| consumer.name.as_str() > after);
    let rows: Vec<Row> = further.by_ref().take(ROWS).map(|consumer| row_of(consumer)).collect();
    let next = further.next().and_then(|_| rows.last().map(|row| row.name.clone()));
    let body = ConsumersBody { form, rows, is_first: after.is_empty(), next, verbs: VERBS };
    visit.form_page("Consumers", &body, form)
}

/// `POST /consumers`.
pub(super) async fn create(State(Room(keeper)): State<Room>, visit: Visit) -> Response {
    let credentials: Vec<&str> = visit.field("credentials").unwrap_or_default().split_whitespace().collect();
    let verbs: Vec<&str> =
        VERBS.into_iter().map(|(verb, _)| verb).filter(|verb| visit.field(verb) == Some("yes")).collect();
    let fields = json!({
        "name": visit.field("name"),
        "credentials": credentials,
        "all_credentials": visit.field("all_credentials") == Some("yes"),
        "verbs": verbs,
    });
    let new = wish::<ConsumerCreate>(fields).and_then(ConsumerCreate::read);
    let outcome = match new {
        Err(problem) => Err(problem),
        Ok(new) => {
            let made = keeper.create_consumer(new, &by(visit.arrival())).await;
            made.map_err(|failure| problem_of(&failure))
        }
    };
    match outcome {
        Err(problem) => listed(&keeper, &visit, ("", &Form::refused(&visit, &problem, &FIELDS))),
        Ok(made) => {
            let said = format!(
                "The consumer {} was made.{}",
                made.consumer.name,
                unknown_to(&keeper, &made.consumer)
            );
            let notice = Notice::said(said)
                .with_secret("Its key", made.key.to_string())
                .with_secret("Its secret for the drop-in endpoints", made.drop_in_secret.to_string());
            visit.back("/consumers", Ok(notice))
        }
    }
}

/// A credential may be added after the consumers that use it; one whose name is written wrong looks the same.
fn unknown_to(keeper: &Keeper, consumer: &Consumer) -> String {
    let CredentialScope::Named(names) = &consumer.credentials else { return String::new() };
    let unknown = names.iter().filter(|name| keeper.account(name).is_none()).map(ToString::to_string);
    let unknown = clip(&unknown.collect::<Vec<_>>().join(", "), SCOPE_CHARS);
    if unknown.is_empty() { unknown } else { format!(" There is no credential {unknown} yet.") }
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "consumer-unknown", "There is no such consumer", "nothing was done")
}

/// `GET /consumers/{name}/revoke`.
pub(super) async fn ask_revoke(
    State(Room(keeper)): State<Room>,
    Path(name): Path<String>,
    visit: Visit,
) -> Response {
    if !keeper.consumers().iter().any(|consumer| consumer.name.as_str() == name) {
        return visit.problem(&unknown());
    }
    visit.confirm(&Confirm {
        title: &format!("Revoke the consumer {name}?"),
        text: "Its key and its secret are good no more, at once and for good: the server that uses them gets no token.",
        button: "Revoke the consumer",
        action: &format!("/consumers/{name}/revoke"),
        back: "/consumers",
    })
}

/// `POST /consumers/{name}/revoke`.
pub(super) async fn revoke(
    State(Room(keeper)): State<Room>,
    Path(name): Path<String>,
    visit: Visit,
) -> Response {
    let Ok(name) = ConsumerName::parse(&name) else { return visit.problem(&unknown()) };
    let outcome = match keeper.revoke_consumer(&name, &by(visit.arrival())).await {
        Ok(()) => Ok(Notice::said(format!("The consumer {name} was revoked: its keys are good no more."))),
        Err(AdminFailure::NotFound) => Err(unknown()),
        Err(failure) => Err(problem_of(&failure)),
    };
    visit.back("/consumers", outcome)
}
