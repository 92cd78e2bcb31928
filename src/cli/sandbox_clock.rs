//! `mintkeep clock`: the sandbox's movable clock.

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::client::{Client, Failure};
use super::report::{instant, text, write_line};
use super::span;

/// Verbs about the clock.
#[derive(Debug, Subcommand)]
pub enum ClockVerb {
    /// Tells the sandbox's time.
    #[command(after_help = "Example:\n  mintkeep clock show")]
    Show,
    /// Moves the clock ahead. Every lifetime follows it.
    #[command(
        after_help = "Examples:\n  mintkeep clock advance 301s\n  mintkeep clock advance 2h\n  mintkeep clock advance 30d"
    )]
    Advance {
        /// By how much: 301s, 5m, 2h, 30d.
        #[arg(value_parser = span::seconds)]
        span: u64,
    },
    /// Sets the clock back to the system's.
    #[command(after_help = "Example:\n  mintkeep clock reset")]
    Reset,
}

/// Does it.
pub async fn run(client: &Client, verb: ClockVerb) -> Result<(), Failure> {
    let path = "sandbox/clock";
    let answer = match verb {
        ClockVerb::Show => client.get(path).await?,
        ClockVerb::Advance { span } => client.post(path, json!({ "advance_s": span })).await?,
        ClockVerb::Reset => client.ask(Method::DELETE, path, None).await?,
    };
    client.tell(&answer, |clock| {
        write_line(&format!("{}, {} s ahead", instant(clock, "/now"), text(clock, "/offset_s")));
    });
    Ok(())
}
