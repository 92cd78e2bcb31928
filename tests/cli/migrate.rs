//! `mintkeep migrate` over an embedded store.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::sandbox::{Ran, mode};

const CONFIGURATION: &str = "\
[admin]
listen = \"127.0.0.1:0\"
token = \"file:admin.token\"
[keeper]
listen = \"127.0.0.1:0\"
[store]
path = \"data\"
[master_key]
current = \"file:master.key\"
";

#[test]
fn an_embedded_store_is_migrated_step_by_step_and_the_second_time_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("mintkeep.toml"), CONFIGURATION).unwrap();
    fs::write(path("admin.token"), "planted-admin-token-planted-admin-token").unwrap();
    fs::write(path("master.key"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    fs::set_permissions(path("admin.token"), fs::Permissions::from_mode(0o644)).unwrap();
    let file = path("mintkeep.toml");
    let migrate = ["migrate", "--config", file.to_str().unwrap()];

    let first = Ran::alone(&migrate);
    assert_eq!(
        (first.code, first.out.as_str()),
        (0, "schema 0 became schema 3: servers of this version may start\n")
    );
    for step in
        ["schema 1: the issuer's records: ", "schema 2: the keeper's records: ", "schema 3: spent nonces: "]
    {
        assert!(first.err.contains(step), "{first:?}");
    }
    assert!(
        first.err.contains("warning: ") && first.err.contains("run chmod 600"),
        "open secrets are told of: {first:?}"
    );
    assert_eq!(mode(&path("data/mintkeep.db")) & 0o077, 0);

    let again = Ran::alone(&migrate);
    assert_eq!((again.code, again.out.as_str()), (0, "schema 3 is up to date: nothing was changed\n"));
    let as_json = Ran::alone(&[&migrate[..], &["--json"]].concat());
    let told: Value = serde_json::from_str(&as_json.out).unwrap();
    assert_eq!(told, serde_json::json!({ "found_schema": 3, "schema": 3, "steps": [] }));

    fs::remove_dir_all(path("data")).unwrap();
    fs::create_dir_all(path("data/mintkeep.db")).unwrap();
    let failed = Ran::alone(&migrate);
    assert!(failed.code == 1 && failed.err.contains("check that it exists"), "{failed:?}");
}
