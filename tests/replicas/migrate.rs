//! `mintkeep migrate` over a database, beside another one.

use std::process::{Output, Stdio};

use crate::process::{folder, mintkeep};
use crate::site::{configuration, new_database};

/// What it wrote beside its answer, a line each.
fn notes(ran: &Output) -> Vec<String> {
    String::from_utf8(ran.stderr.clone()).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn of_two_migrations_at_once_one_makes_the_tables_and_both_end_well() {
    let folder = folder(&configuration(&new_database(), 20));
    let file = folder.path().join("mintkeep.toml");
    let begin = || {
        let mut command = mintkeep(&["migrate", "--config", file.to_str().unwrap()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ran = [begin(), begin()].map(|child| child.wait_with_output().unwrap());
    assert!(ran.iter().all(|ran| ran.status.success()), "{ran:?}");
    let mut said = ran.each_ref().map(|ran| String::from_utf8(ran.stdout.clone()).unwrap());
    said.sort();
    let [became, found] = said;
    assert_eq!(became, "schema 0 became schema 3: servers of this version may start\n");
    assert_eq!(found, "schema 3 is up to date: nothing was changed\n");
    let steps = ran.iter().flat_map(notes).filter(|line| line.starts_with("schema "));
    let steps: Vec<_> = steps.collect();
    assert_eq!(steps.len(), 3, "each step is told once: {ran:?}");
    assert!(
        steps[1].starts_with("schema 2: the keeper's records: ") && steps[1].ends_with(" ms"),
        "{steps:?}"
    );
}
