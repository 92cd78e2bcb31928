//! Mintkeep: access tokens for super-app mini programs, issued and kept.

mod admin_listener;
mod args;
mod certificates;
mod cli;
mod config;
mod dev;
mod engine;
mod folder;
mod master_key;
mod open_files;
mod sandbox;
mod sandbox_browser;
mod sandbox_clock;
mod sandbox_keeper;
mod sandbox_keys;
mod sandbox_shop;
mod say;
mod serve;
mod telemetry;
mod welcome;
mod wiring;

use std::process::ExitCode;

use mimalloc::MiMalloc;

use args::{Command, ConfigCommand};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Threads for blocking work at most: store reads, signatures.
const BLOCKING_THREADS_MAX: usize = 64;

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    open_files::as_many_as_may_be();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = match args.command {
        Command::Dev(options) => runtime.block_on(dev::run(options)),
        Command::Serve(options) => runtime.block_on(serve::run(&options.config)),
        Command::Config(ConfigCommand::Example) => {
            config::print_example();
            Ok(())
        }
        Command::Config(ConfigCommand::Check { file }) => config::check(&file),
        Command::Verb(verb) => return runtime.block_on(cli::run(*verb, args::definition())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Says what went wrong, and why, on one line.
fn failed(error: &anyhow::Error) -> ExitCode {
    say::note(&format!("mintkeep: {error:#}"));
    ExitCode::FAILURE
}
