//! `mintkeep fault`: the sandbox's bad days, on demand.

use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use super::DIALECTS;
use super::client::{Client, Failure, segment};
use super::report::{entries, text, write_line, write_table};
use super::span;

/// Verbs about fault rules.
#[derive(Debug, Subcommand)]
pub enum FaultVerb {
    /// Adds a rule: what becomes of requests to the sandbox's issuer.
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Lists the rules in force.
    #[command(after_help = "Example:\n  mintkeep fault list")]
    List,
    /// Ends a rule, or all of them.
    #[command(after_help = "Examples:\n  mintkeep fault clear 3\n  mintkeep fault clear    # all of them")]
    Clear {
        /// The rule's number; left out: all rules.
        id: Option<u64>,
    },
}

const ADD_EXAMPLES: &str = "\
Examples:
  mintkeep fault add --dialect wechat --action drop-after --count 1
  mintkeep fault add --dialect wechat --endpoint /cgi-bin/token \\
      --action answer --code 45009
  mintkeep fault add --dialect dingtalk --action delay --delay 3s \\
      --probability 0.5";

/// What a rule does.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Action {
    /// The connection ends and nothing happened.
    #[value(alias = "drop_before")]
    DropBefore,
    /// It happened and the answer is lost.
    #[value(alias = "drop_after")]
    DropAfter,
    /// The answer comes late.
    Delay,
    /// Nothing happened, and the answer is a code of the dialect.
    Answer,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::DropBefore => "drop_before",
            Self::DropAfter => "drop_after",
            Self::Delay => "delay",
            Self::Answer => "answer",
        }
    }
}

/// A new rule.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Whose requests.
    #[arg(long, value_parser = DIALECTS)]
    dialect: String,
    /// Which path; left out: all of the dialect.
    #[arg(long, value_name = "PATH")]
    endpoint: Option<String>,
    /// What to do to them.
    #[arg(long, value_enum)]
    action: Action,
    /// For `delay`: how long, such as 250ms or 5s, at most 60s.
    #[arg(long, value_name = "SPAN", value_parser = span::milliseconds, required_if_eq("action", "delay"))]
    delay: Option<u64>,
    /// For `answer`: the dialect's code, such as -1, 45009 or `USED_CODE`.
    #[arg(long, allow_hyphen_values = true, required_if_eq("action", "answer"))]
    code: Option<String>,
    /// How likely it strikes, more than 0 and at most 1.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    probability: f64,
    /// How often it strikes before it ends; left out: without end.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Does it.
pub async fn run(client: &Client, verb: FaultVerb) -> Result<(), Failure> {
    match verb {
        FaultVerb::Add(asked) => add(client, asked).await,
        FaultVerb::List => {
            let answer = client.get("sandbox/faults").await?;
            client.tell(&answer, tell_all);
            Ok(())
        }
        FaultVerb::Clear { id } => clear(client, id).await,
    }
}

async fn add(client: &Client, asked: Add) -> Result<(), Failure> {
    let given = [
        ("endpoint", asked.endpoint.map(Value::from)),
        ("delay_ms", asked.delay.map(Value::from)),
        ("code", asked.code.map(Value::from)),
        ("count", asked.count.map(Value::from)),
    ];
    let mut body: Map<String, Value> =
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    body.insert("dialect".to_owned(), asked.dialect.into());
    body.insert("action".to_owned(), asked.action.name().into());
    body.insert("probability".to_owned(), asked.probability.into());
    let answer = client.post("sandbox/faults", Value::Object(body)).await?;
    client.tell(&answer, |answer| write_line(&format!("fault {} is in force", text(answer, "/id"))));
    Ok(())
}

async fn clear(client: &Client, id: Option<u64>) -> Result<(), Failure> {
    let ids: Vec<String> = if let Some(id) = id {
        vec![id.to_string()]
    } else {
        let answer = client.get("sandbox/faults").await?;
        entries(&answer, "faults").iter().map(|fault| text(fault, "/id")).collect()
    };
    for id in &ids {
        client.ask(Method::DELETE, &format!("sandbox/faults/{}", segment(id)), None).await?;
    }
    client.tell(&json!({ "cleared": ids }), |_| write_line(&format!("{} cleared", ids.len())));
    Ok(())
}

fn tell_all(answer: &Value) {
    let row = |fault: &Value| {
        [
            text(fault, "/id"),
            text(fault, "/dialect"),
            text(fault, "/endpoint"),
            text(fault, "/action"),
            text(fault, "/code"),
            text(fault, "/delay_ms"),
            text(fault, "/probability"),
            text(fault, "/count"),
        ]
    };
    let rows: Vec<_> = entries(answer, "faults").iter().map(row).collect();
    let headings = ["id", "dialect", "endpoint", "action", "code", "delay ms", "probability", "left"];
    write_table(headings, &rows, "no fault rules; `mintkeep fault add` adds one");
}
