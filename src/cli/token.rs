//! `mintkeep token`: what the keeper holds.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::at_least_one;
use super::client::{Client, Failure, segment};
use super::report::{entries, instant, note, note_if_more, text, write_facts, write_line, write_table};

/// Verbs about tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Prints a good token; one that ended is renewed first.
    #[command(
        after_help = "Examples:\n  TOKEN=$(mintkeep token get wechat-sandbox)\n  mintkeep token get miniprogram-sandbox 2160000000000001"
    )]
    Get(Whose),
    /// Renews a token now, to another one where the platform can do that.
    #[command(after_help = "Example:\n  mintkeep token refresh wechat-sandbox")]
    Refresh(Whose),
    /// Lists what is held, without the tokens themselves.
    #[command(
        after_help = "Examples:\n  mintkeep token list\n  mintkeep token list --credential miniprogram-sandbox"
    )]
    List {
        /// Only this credential's.
        #[arg(long, value_name = "NAME")]
        credential: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "N", value_parser = at_least_one(), default_value_t = 1_000)]
        most: u64,
    },
    /// Tells a token's story: who caused which renewal, when, with what answer.
    #[command(after_help = "Example:\n  mintkeep token explain wechat-sandbox")]
    Explain(Whose),
    /// Decides of a token that waits for an operator because a renewal's answer is lost.
    #[command(
        after_help = "Example:\n  mintkeep token resolve miniprogram-sandbox 2160000000000001 --decision ask-consent"
    )]
    Resolve {
        #[command(flatten)]
        whose: Whose,
        /// What to do.
        #[arg(long, value_enum)]
        decision: Decision,
    },
}

/// What an operator decides of a token in doubt.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Decision {
    /// Present the refresh token once more, at the risk of the customer's authorization.
    PresentAgain,
    /// Give the refresh token up: the customer must authorize anew.
    AskConsent,
}

/// Whose token.
#[derive(Debug, clap::Args)]
pub struct Whose {
    /// The credential's name.
    credential: String,
    /// Which customer's, for the dialects whose tokens are a customer's.
    customer: Option<String>,
}

impl Whose {
    fn path(&self, rest: &str) -> String {
        let customer = self.customer.as_ref().map(|customer| format!("/{}", segment(customer)));
        format!("keeper/tokens/{}{}{rest}", segment(&self.credential), customer.unwrap_or_default())
    }
}

/// Does it.
pub async fn run(client: &Client, verb: TokenVerb) -> Result<(), Failure> {
    match verb {
        TokenVerb::Get(whose) => {
            let answer = client.get(&whose.path("")).await?;
            client.tell(&answer, tell_token);
        }
        TokenVerb::Refresh(whose) => {
            let answer = client.ask(Method::POST, &whose.path("/refresh"), None).await?;
            client.tell(&answer, |token| write_facts(&facts(token)));
        }
        TokenVerb::List { credential, most } => {
            let filter = credential.map(|name| format!("?credential={}", segment(&name)));
            let path = format!("keeper/tokens{}", filter.unwrap_or_default());
            let answer = client.all_pages(&path, "tokens", most).await?;
            client.tell(&answer, tell_all);
        }
        TokenVerb::Explain(whose) => {
            let answer = client.get(&whose.path("/explain")).await?;
            client.tell(&answer, tell_story);
        }
        TokenVerb::Resolve { whose, decision } => {
            let decision = match decision {
                Decision::PresentAgain => "present_again",
                Decision::AskConsent => "ask_consent",
            };
            let answer = client.post(&whose.path("/resolve"), json!({ "decision": decision })).await?;
            client.tell(&answer, |_| write_line("resolved"));
        }
    }
    Ok(())
}

/// The token alone goes to standard output.
fn tell_token(answer: &Value) {
    write_line(&text(answer, "/access_token"));
    note(&format!("Version {}, good until {}.", text(answer, "/version"), instant(answer, "/expires_at")));
}

fn facts(token: &Value) -> [(&'static str, String); 9] {
    [
        ("credential", text(token, "/credential")),
        ("customer", text(token, "/customer")),
        ("state", text(token, "/state")),
        ("good", text(token, "/good")),
        ("version", text(token, "/version")),
        ("good until", instant(token, "/expires_at")),
        ("refreshable until", instant(token, "/refresh_expires_at")),
        ("next renewal", instant(token, "/due_at")),
        ("trouble", text(token, "/trouble_text")),
    ]
}

fn tell_all(answer: &Value) {
    let row = |token: &Value| {
        [
            text(token, "/credential"),
            text(token, "/customer"),
            text(token, "/state"),
            text(token, "/good"),
            text(token, "/version"),
            instant(token, "/expires_at"),
            instant(token, "/due_at"),
            text(token, "/trouble_text"),
        ]
    };
    let rows: Vec<_> = entries(answer, "tokens").iter().map(row).collect();
    let headings =
        ["credential", "customer", "state", "good", "version", "good until", "next renewal", "trouble"];
    write_table(headings, &rows, "nothing is held");
    note_if_more(answer);
}

fn tell_story(answer: &Value) {
    let calls = entries(answer, "calls_today");
    let calls: Vec<_> =
        calls.iter().map(|call| format!("{} {}", text(call, "/calls"), text(call, "/kind"))).collect();
    match answer.get("token").filter(|token| !token.is_null()) {
        Some(token) => write_facts(&facts(token)),
        None => write_line("nothing was ever asked for"),
    }
    write_facts(&[
        ("calls today", if calls.is_empty() { "-".to_owned() } else { calls.join(", ") }),
        ("daily limit", text(answer, "/daily_limit")),
    ]);
    let row = |line: &Value| {
        [
            instant(line, "/at"),
            text(line, "/cause/by"),
            text(line, "/cause/consumer"),
            text(line, "/ending/outcome"),
            text(line, "/version"),
            text(line, "/code"),
            text(line, "/ending/trouble"),
        ]
    };
    let rows: Vec<_> = entries(answer, "history").iter().map(row).collect();
    write_line("");
    let headings = ["when", "cause", "consumer", "outcome", "version", "code", "trouble"];
    write_table(headings, &rows, "nothing happened to it yet");
}
