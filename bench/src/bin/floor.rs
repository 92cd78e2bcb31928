//! How many signed calls a second the RSA library alone allows on one core: one verify and one sign each.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use mintkeep_bench::{Stopwatch, tell};
use mintkeep_protocol::crypto::RsaPrivateKey;
use serde_json::json;

/// Verifies and signs in turn, on one thread, and prints how often it could. It prints `ready` once it has a key,
/// and waits for a line on its standard input: drawing a key takes as long as hundreds of signatures.
#[derive(Parser)]
struct Arguments {
    /// For how long, in seconds.
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let wanted = Duration::from_secs(Arguments::parse().seconds);
    let key = RsaPrivateKey::generate()?;
    let message = [b'x'; 300];
    let signature = key.sign(&message)?;
    tell(&json!("ready"));
    std::io::stdin().read_line(&mut String::new())?;

    let watch = Stopwatch::start();
    let mut pairs = 0_u32;
    while watch.elapsed() < wanted {
        ensure!(key.public().verify(&message, &signature), "the library no longer takes its own signature");
        key.sign(&message)?;
        pairs = pairs.checked_add(1).context("too many to count")?;
    }
    let per_second = f64::from(pairs) / watch.elapsed().as_secs_f64();
    tell(&json!({ "requests": pairs, "requests_per_s": per_second }));
    Ok(())
}
