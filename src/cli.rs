//! The verbs over the admin API of a running server, and the few that work alone.

mod app;
mod audit;
mod backup;
mod client;
mod completions;
mod consumer;
mod credential;
mod fault;
mod files;
mod grant;
mod key;
mod master_key;
mod migrate;
mod remedy;
mod report;
mod sandbox_clock;
mod server;
mod span;
mod store;
mod store_copy;
mod token;

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::RangedU64ValueParser;

pub use client::Failure;
use server::Server;

/// The dialects by name.
const DIALECTS: [&str; 4] = ["wechat", "dingtalk", "miniprogram", "alipayhk"];

/// How many entries of a list may be asked for.
fn at_least_one() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..)
}

/// What to do to a running server.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes, lists, changes and deletes apps.
    App(Group<app::AppVerb>),
    /// Puts and shows customers.
    Customer(Group<grant::CustomerVerb>),
    /// Issues codes, as a wallet does after the customer's consent.
    Code(Group<grant::CodeVerb>),
    /// Lists and revokes what customers granted.
    Grant(Group<grant::GrantVerb>),
    /// Tells what a token is, whose, and whether it is good.
    #[command(after_help = grant::INSPECT_EXAMPLES)]
    Inspect(Single<grant::Inspect>),
    /// Adds, lists, shows and removes the keeper's credentials.
    Credential(Group<credential::CredentialVerb>),
    /// Makes, lists and revokes the keeper's consumers.
    Consumer(Group<consumer::ConsumerVerb>),
    /// Reads, renews, lists and explains the tokens that the keeper holds.
    Token(Group<token::TokenVerb>),
    /// Tells what the store's secrets are sealed under, and exchanges that.
    MasterKey(Group<master_key::MasterKeyVerb>),
    /// Shows, advances and resets the sandbox's clock.
    Clock(Group<sandbox_clock::ClockVerb>),
    /// Adds, lists and clears the sandbox's fault rules.
    Fault(Group<fault::FaultVerb>),
    /// Tells who did what, when, from where.
    Audit(Group<audit::AuditVerb>),
    /// Makes keys, without a server.
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Copies an embedded store while its server runs.
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::Backup),
    /// Does what a store needs done without a server.
    #[command(subcommand)]
    Store(store::StoreVerb),
    /// Brings a database's tables up to date.
    #[command(after_help = migrate::EXAMPLES)]
    Migrate(migrate::Migrate),
    /// Prints a completion script for a shell.
    #[command(after_help = completions::EXAMPLES)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Verbs about one kind of thing, and which server to ask.
#[derive(Debug, clap::Args)]
pub struct Group<V: Subcommand> {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    verb: V,
}

/// A verb by itself, and which server to ask.
#[derive(Debug, clap::Args)]
pub struct Single<A: clap::Args> {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    args: A,
}

/// Does it. The exit code: 0 done, 1 the server said no, 2 usage, 3 it could not be reached.
pub async fn run(verb: Verb, command: clap::Command) -> ExitCode {
    let as_json = verb.as_json();
    match done(verb, command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(as_json),
    }
}

async fn done(verb: Verb, command: clap::Command) -> Result<(), Failure> {
    match verb {
        Verb::App(group) => app::run(&group.server.client()?, group.verb).await,
        Verb::Customer(group) => grant::run_customer(&group.server.client()?, group.verb).await,
        Verb::Code(group) => grant::run_code(&group.server.client()?, group.verb).await,
        Verb::Grant(group) => grant::run_grant(&group.server.client()?, group.verb).await,
        Verb::Inspect(single) => grant::run_inspect(&single.server.client()?, single.args).await,
        Verb::Credential(group) => credential::run(&group.server.client()?, group.verb).await,
        Verb::Consumer(group) => consumer::run(&group.server.client()?, group.verb).await,
        Verb::Token(group) => token::run(&group.server.client()?, group.verb).await,
        Verb::MasterKey(group) => master_key::run(&group.server.client()?, group.verb).await,
        Verb::Clock(group) => sandbox_clock::run(&group.server.client()?, group.verb).await,
        Verb::Fault(group) => fault::run(&group.server.client()?, group.verb).await,
        Verb::Audit(group) => audit::run(&group.server.client()?, group.verb).await,
        Verb::Key(verb) => key::run(&verb),
        Verb::Backup(options) => backup::run(options).await,
        Verb::Store(verb) => store::run(verb).await,
        Verb::Migrate(options) => migrate::run(options).await,
        Verb::Completions { shell } => {
            completions::print(shell, command);
            Ok(())
        }
    }
}

impl Verb {
    /// Whether answers and errors are wanted as JSON.
    const fn as_json(&self) -> bool {
        match self {
            Self::App(group) => group.server.json,
            Self::Customer(group) => group.server.json,
            Self::Code(group) => group.server.json,
            Self::Grant(group) => group.server.json,
            Self::Inspect(single) => single.server.json,
            Self::Credential(group) => group.server.json,
            Self::Consumer(group) => group.server.json,
            Self::Token(group) => group.server.json,
            Self::MasterKey(group) => group.server.json,
            Self::Clock(group) => group.server.json,
            Self::Fault(group) => group.server.json,
            Self::Audit(group) => group.server.json,
            Self::Key(verb) => verb.as_json(),
            Self::Backup(options) => options.json,
            Self::Store(verb) => verb.as_json(),
            Self::Migrate(options) => options.json,
            Self::Completions { .. } => false,
        }
    }
}
