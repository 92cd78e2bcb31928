//! `mintkeep config`.

use std::fs;
use std::process::Output;

use crate::server::{configuration, folder, mintkeep};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn check(configuration: &str) -> Output {
    let folder = folder(configuration);
    let file = folder.path().join("mintkeep.toml");
    mintkeep(&["config", "check", file.to_str().unwrap()]).output().unwrap()
}

#[test]
fn the_example_passes_the_check_once_its_files_are_there() {
    let example = mintkeep(&["config", "example"]).output().unwrap();
    assert!(example.status.success());
    let checked = check(text(&example.stdout));
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).ends_with("mintkeep.toml can be served\n"), "{}", text(&checked.stdout));
}

#[test]
fn every_mistake_is_named_by_its_line_and_remedy_and_warnings_do_not_fail() {
    let wrong = check(&configuration("colour = 1", "[limits]\nbody_bytes_max = -1"));
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said.contains("\n  line 4: there is no setting `issuer.colour`; remove it"), "{said}");
    assert!(said.contains("\n  line 15: `limits.body_bytes_max` is no number of bytes"), "{said}");

    let open = configuration("", "").replacen("127.0.0.1:0", "0.0.0.0:0", 1);
    let warned = check(&open);
    assert!(warned.status.success());
    assert!(text(&warned.stdout).starts_with("warning: line 2: `issuer.listen` can be reached from outside"));
}

#[test]
fn serving_a_wrong_file_says_the_same_and_a_missing_one_what_to_do() {
    let folder = folder(&configuration("colour = 1", ""));
    let file = folder.path().join("mintkeep.toml");
    let serve = || mintkeep(&["serve", "--config", file.to_str().unwrap()]).output().unwrap();
    assert!(text(&serve().stderr).contains("line 4: there is no setting `issuer.colour`"));
    fs::remove_file(&file).unwrap();
    let gone = serve();
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("write one from `mintkeep config example`"));
}
