//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::{Failure, Verb};

/// The access-token server for super-app mini programs and internal apps.
#[derive(Debug, Parser)]
#[command(name = "mintkeep", version, about, after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mintkeep dev                # both roles, sandbox on, nothing to set up
  mintkeep dev --ephemeral    # the same, and nothing is left behind
  mintkeep app list           # asks the server that runs on this machine
  mintkeep clock advance 2h   # makes every lifetime of the sandbox pass

Exit codes: 0 done, 1 the server said no, or it can't be done here (a configuration is wrong, a file is in the way), \
2 usage, 3 it could not be reached. With --json the last line on standard error is what went wrong, as JSON.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs issuer and keeper on loopback, with a sandbox: everything for trying things out.
    #[command(after_help = DEV_EXAMPLES)]
    Dev(DevOptions),
    /// Runs the roles of a configuration file, for production.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeOptions),
    /// Writes an example of a configuration file, or checks one.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What is done to a running server.
    #[command(flatten)]
    Verb(Box<Verb>),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  mintkeep config example > mintkeep.toml    # a commented file to begin with
  mintkeep config check mintkeep.toml        # each mistake's line and remedy
  mintkeep serve --config mintkeep.toml      # logs to standard error

SIGTERM stops it gracefully.

Exit codes: 0 stopped, 1 it could not start or go on, 2 usage.";

/// Options of `mintkeep serve`.
#[derive(Debug, clap::Args)]
pub struct ServeOptions {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "MINTKEEP_CONFIG")]
    pub config: PathBuf,
}

/// Verbs of `mintkeep config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Prints a commented example, which passes the check once its files are there.
    #[command(after_help = "Example:\n  mintkeep config example > mintkeep.toml")]
    Example,
    /// Names the line and the remedy of each mistake. Exits with 0 if the file can be served.
    #[command(after_help = "Example:\n  mintkeep config check mintkeep.toml")]
    Check {
        /// The configuration file.
        file: PathBuf,
    },
}

const DEV_EXAMPLES: &str = "\
Examples:
  mintkeep dev                # state is kept in ./mintkeep-data
  mintkeep dev --ephemeral    # state is gone at exit
  mintkeep dev --data /tmp/a --issuer 127.0.0.1:0 --keeper 127.0.0.1:0 \\
      --admin 127.0.0.1:0     # free ports; the table that is printed tells which";

/// Options of `mintkeep dev`.
#[derive(Debug, clap::Args)]
pub struct DevOptions {
    /// Where state is kept. It survives a restart.
    #[arg(long, value_name = "DIR", default_value = "./mintkeep-data")]
    pub data: PathBuf,
    /// A temporary data folder instead, gone at exit.
    #[arg(long, conflicts_with = "data")]
    pub ephemeral: bool,
    /// Where the issuer listens. Loopback only.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7600", value_parser = loopback)]
    pub issuer: SocketAddr,
    /// Where the keeper listens. Loopback only.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700", value_parser = loopback)]
    pub keeper: SocketAddr,
    /// Where the admin API listens. Loopback only.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7800", value_parser = loopback)]
    pub admin: SocketAddr,
}

/// An address that nobody reaches from outside.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_no_address| "write ADDRESS:PORT".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    let why = "not a loopback address; the sandbox has known secrets and must not be reached from outside. For production use `mintkeep serve`";
    Err(why.to_owned())
}

/// What the command line says.
///
/// # Errors
///
/// The exit code to end with: there is a mistake, and it was told.
pub fn parse() -> Result<Args, ExitCode> {
    let parsed = definition().try_get_matches().and_then(|matches| Args::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let is_mistake = error.use_stderr();
        if is_mistake && std::env::args_os().any(|word| word == "--json") {
            return Failure::Usage(error.render().to_string()).tell(true);
        }
        error.exit()
    })
}

/// The command line as it is understood. A command that only has verbs shows the first example of each.
pub fn definition() -> clap::Command {
    Args::command().mut_subcommands(|command| {
        let examples: Vec<String> = command.get_subcommands().filter_map(first_example).collect();
        if examples.is_empty() {
            return command;
        }
        command.after_help(format!("Examples:\n{}", examples.join("\n")))
    })
}

fn first_example(command: &clap::Command) -> Option<String> {
    let help = command.get_after_help()?.to_string();
    let mut lines = Vec::new();
    for line in help.lines().skip(1) {
        lines.push(line);
        if !line.ends_with('\\') {
            break;
        }
    }
    Some(lines.join("\n"))
}

/// The admin token in `MINTKEEP_ADMIN_TOKEN`, if there is one. There is no option for it: everybody on the
/// machine can read a command line.
pub fn admin_token_of_environment() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "its one home")]
    std::env::var("MINTKEEP_ADMIN_TOKEN").ok().filter(|token| !token.is_empty())
}
