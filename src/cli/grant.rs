//! `mintkeep customer`, `code`, `grant`, `inspect`: customers and what they granted.

use std::path::Path;

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::at_least_one;
use super::client::{Client, Failure, segment};
use super::files;
use super::report::{entries, instant, note, note_if_more, text, write_facts, write_line, write_table};

/// Verbs about customers.
#[derive(Debug, Subcommand)]
pub enum CustomerVerb {
    /// Makes a customer, or puts another state in place of its own, and the profile that is given, if any is.
    #[command(
        after_help = "Examples:\n  mintkeep customer put 2160000000000003 --nick-name 'Lee Siu Lung'\n  mintkeep customer put 2160000000000003 --status frozen"
    )]
    Put {
        /// The customer's id.
        id: String,
        /// Whether they may grant anything.
        #[arg(long, default_value = "active", value_parser = ["active", "frozen", "deleted"])]
        status: String,
        /// The name they chose.
        #[arg(long, value_name = "TEXT")]
        nick_name: Option<String>,
        /// A picture's URL.
        #[arg(long, value_name = "URL")]
        avatar: Option<String>,
        /// m, f, or what the platform has.
        #[arg(long, value_name = "TEXT")]
        gender: Option<String>,
        /// ISO 3166 country.
        #[arg(long, value_name = "CODE")]
        nationality: Option<String>,
    },
    /// Lists customers, by id.
    #[command(after_help = "Example:\n  mintkeep customer list --most 100")]
    List {
        /// How many at most.
        #[arg(long, value_name = "N", value_parser = at_least_one(), default_value_t = u64::MAX, hide_default_value = true)]
        most: u64,
    },
    /// Shows a customer.
    #[command(after_help = "Example:\n  mintkeep customer show 2160000000000001")]
    Show {
        /// The customer's id.
        id: String,
    },
}

/// Verbs about codes.
#[derive(Debug, Subcommand)]
pub enum CodeVerb {
    /// Issues a code, as a wallet does after the customer's consent.
    #[command(
        after_help = "Example:\n  mintkeep code issue --app MINI0000000000000001 \\\n      --customer 2160000000000001 --scope auth_user"
    )]
    Issue {
        /// For which app.
        #[arg(long, value_name = "ID")]
        app: String,
        /// About which customer.
        #[arg(long, value_name = "ID")]
        customer: String,
        /// What they agreed to; may be given more than once, or with commas between.
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_value = "auth_user")]
        scopes: Vec<String>,
    },
}

/// Verbs about grants.
#[derive(Debug, Subcommand)]
pub enum GrantVerb {
    /// Lists grants in the order they were made.
    #[command(
        after_help = "Example:\n  mintkeep grant list --app MINI0000000000000001 --customer 2160000000000001"
    )]
    List {
        /// Only this app's.
        #[arg(long, value_name = "ID")]
        app: Option<String>,
        /// Only this customer's.
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "N", value_parser = at_least_one(), default_value_t = 1_000)]
        most: u64,
    },
    /// Ends a grant: no code or token of it is good any more.
    #[command(after_help = "Example:\n  mintkeep grant revoke 117838548943164379")]
    Revoke {
        /// The grant's number, from `mintkeep grant list`.
        id: String,
    },
}

pub(super) const INSPECT_EXAMPLES: &str = "\
Examples:
  mintkeep inspect - < token.txt    # the token stays out of `ps`
  mintkeep inspect TOKEN";

/// What to inspect.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// An access token, refresh token, code or ticket; `-` reads it from standard input.
    token: String,
}

/// Does it.
pub async fn run_customer(client: &Client, verb: CustomerVerb) -> Result<(), Failure> {
    let answer = match verb {
        CustomerVerb::Put { id, status, nick_name, avatar, gender, nationality } => {
            let profile = [
                ("nick_name", nick_name),
                ("avatar", avatar),
                ("gender", gender),
                ("nationality", nationality),
            ];
            let given: Map<String, Value> = profile
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))))
                .collect();
            let path = format!("customers/{}", segment(&id));
            let profile =
                if given.is_empty() { profile_of(client, &path).await? } else { Value::Object(given) };
            let body = json!({ "status": status, "profile": profile });
            client.ask(Method::PUT, &path, Some(body)).await?
        }
        CustomerVerb::List { most } => {
            let answer = client.all_pages("customers", "customers", most).await?;
            client.tell(&answer, tell_customers);
            return Ok(());
        }
        CustomerVerb::Show { id } => client.get(&format!("customers/{}", segment(&id))).await?,
    };
    client.tell(&answer, |customer| {
        write_facts(&[
            ("id", text(customer, "/id")),
            ("status", text(customer, "/status")),
            ("profile", text(customer, "/profile")),
        ]);
    });
    Ok(())
}

/// The profile that the customer at `path` has, empty if there is none yet: who only freezes a customer keeps it.
async fn profile_of(client: &Client, path: &str) -> Result<Value, Failure> {
    match client.get(path).await {
        Ok(mut known) => Ok(known.get_mut("profile").map(Value::take).unwrap_or_default()),
        Err(Failure::Refused(problem)) if problem.get("status") == Some(&json!(404)) => Ok(json!({})),
        Err(failure) => Err(failure),
    }
}

/// Does it. The code alone goes to standard output.
pub async fn run_code(client: &Client, verb: CodeVerb) -> Result<(), Failure> {
    let CodeVerb::Issue { app, customer, scopes } = verb;
    let body = json!({ "client_id": app, "customer_id": customer, "scopes": scopes });
    let answer = client.post("codes", body).await?;
    client.tell(&answer, |answer| {
        write_line(&text(answer, "/auth_code"));
        note(&format!("Good once, until {}.", instant(answer, "/expires_at")));
    });
    Ok(())
}

fn tell_customers(answer: &Value) {
    let row = |customer: &Value| {
        [text(customer, "/id"), text(customer, "/status"), text(customer, "/profile/nick_name")]
    };
    let rows: Vec<_> = entries(answer, "customers").iter().map(row).collect();
    write_table(["id", "status", "name"], &rows, "no customers");
    note_if_more(answer);
}

/// Does it.
pub async fn run_grant(client: &Client, verb: GrantVerb) -> Result<(), Failure> {
    match verb {
        GrantVerb::List { app, customer, most } => {
            let filters = [("app", app), ("customer", customer)];
            let filters = filters
                .into_iter()
                .filter_map(|(name, value)| Some(format!("{name}={}", segment(&value?))))
                .collect::<Vec<_>>()
                .join("&");
            let path = if filters.is_empty() { "grants".to_owned() } else { format!("grants?{filters}") };
            let answer = client.all_pages(&path, "grants", most).await?;
            client.tell(&answer, tell_grants);
        }
        GrantVerb::Revoke { id } => {
            let path = format!("grants/{}/revoke", segment(&id));
            let answer = client.ask(Method::POST, &path, None).await?;
            client.tell(&answer, |grant| {
                write_line(&format!("grant {} is {}", text(grant, "/id"), text(grant, "/state")));
            });
        }
    }
    Ok(())
}

fn tell_grants(answer: &Value) {
    let row = |grant: &Value| {
        [
            text(grant, "/id"),
            text(grant, "/client_id"),
            text(grant, "/customer_id"),
            text(grant, "/state"),
            text(grant, "/scopes"),
            instant(grant, "/made_at"),
            instant(grant, "/access_expires_at"),
            instant(grant, "/refresh_expires_at"),
        ]
    };
    let rows: Vec<_> = entries(answer, "grants").iter().map(row).collect();
    let headings = ["id", "app", "customer", "state", "scopes", "made", "access until", "refresh until"];
    write_table(headings, &rows, "no grants");
    note_if_more(answer);
}

/// Does it.
pub async fn run_inspect(client: &Client, asked: Inspect) -> Result<(), Failure> {
    let token =
        if asked.token == "-" { files::read(Path::new("-"))? } else { zeroize::Zeroizing::new(asked.token) };
    let answer = client.post("inspect", json!({ "token": *token })).await?;
    client.tell(&answer, |answer| {
        write_facts(&[
            ("state", text(answer, "/state")),
            ("kind", text(answer, "/kind")),
            ("app", text(answer, "/client_id")),
            ("dialect", text(answer, "/dialect")),
            ("customer", text(answer, "/customer_id")),
            ("scopes", text(answer, "/scopes")),
            ("grant", text(answer, "/grant_id")),
            ("generation", text(answer, "/generation")),
            ("issued", instant(answer, "/issued_at")),
            ("expires", instant(answer, "/expires_at")),
        ]);
    });
    Ok(())
}
