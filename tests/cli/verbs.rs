//! The verbs against a running sandbox, their output and their exit codes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::sandbox::{Ran, Sandbox, alone, issuer_says, mode};

#[test]
fn the_exit_code_tells_who_said_no() {
    let sandbox = Sandbox::start();
    let wrong_token = sandbox.folder.path().join("wrong.token");
    std::fs::write(&wrong_token, "wrong\n").unwrap();
    let wrong_token = wrong_token.to_str().unwrap();
    let not_there = sandbox.folder.path().join("nowhere");
    let not_there = not_there.to_str().unwrap();
    #[rustfmt::skip]
    let cases: [(&str, &[&str], i32, &str); 21] = [
        ("done",                 &["app", "show", "wx0000000000000001"],              0, ""),
        ("no such app",          &["app", "show", "wx9"],                             1, "`mintkeep app list` lists them; `mintkeep app create` makes one"),
        ("the dialect's refusal", &["code", "issue", "--app", "MINI0000000000000001", "--customer", "2160000000000002"], 1, "frozen"),
        ("unknown dialect",      &["app", "create", "--dialect", "fax", "--name", "x"], 2, "wechat"),
        ("unknown setting",      &["app", "set", "wx0000000000000001", "--setting", "colour=1"], 1, "no such setting"),
        ("nothing to change",    &["app", "set", "wx0000000000000001"],               2, "--setting"),
        ("unknown code",         &["fault", "add", "--dialect", "wechat", "--action", "answer", "--code", "x"], 1, "code must be one"),
        ("no such customer",     &["customer", "show", "nobody"],                     1, "`mintkeep customer put`"),
        ("no such credential",   &["token", "get", "nothing"],                        1, "`mintkeep credential list`"),
        ("no such consumer",     &["consumer", "revoke", "nobody"],                   1, "`mintkeep consumer list`"),
        ("a secret for keys",    &["app", "rotate-secret", "MINI0000000000000001"],   1, "`mintkeep app add-key`"),
        ("no such grant",        &["grant", "revoke", "1"],                           1, "`mintkeep grant list`"),
        ("unknown verb",         &["app", "explode"],                                 2, "unrecognized"),
        ("no verb",              &["app"],                                            2, "Usage"),
        ("missing option",       &["code", "issue", "--app", "x"],                    2, "--customer"),
        ("span without a unit",  &["clock", "advance", "301"],                        2, "301s, 5m, 2h or 30d"),
        ("delay without a span", &["fault", "add", "--dialect", "wechat", "--action", "delay"], 2, "--delay"),
        ("key that is not there", &["app", "add-key", "MINI0000000000000001", "--public-key", not_there], 2, "can't be read"),
        ("plain HTTP far away",  &["app", "list", "--admin-url", "http://192.0.2.1:7800"], 2, "unencrypted"),
        ("nobody listens",       &["app", "list", "--admin-url", "http://127.0.0.1:1"], 3, "can't be reached"),
        ("not an admin listener", &["app", "list", "--admin-url", &sandbox.issuer_url], 3, "is --admin-url right"),
    ];
    for (case, args, code, told) in cases {
        let ran = sandbox.run(args);
        assert_eq!(ran.code, code, "{case}: {ran:?}");
        assert!(ran.err.contains(told) && !ran.err.contains("/admin/v1/"), "{case}: {ran:?}");
        assert_eq!(ran.out.is_empty(), code != 0, "{case}: {ran:?}");
    }
    let ran =
        Ran::alone(&["app", "list", "--admin-url", &sandbox.admin_url, "--admin-token-file", wrong_token]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("admin token") && !ran.err.contains("wrong\n"), "{ran:?}");
}

#[test]
fn the_token_comes_from_the_option_the_environment_or_the_usual_file() {
    let sandbox = Sandbox::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let token = std::fs::read_to_string(sandbox.data("admin.token")).unwrap();
    let list = || {
        let mut command = alone(&["app", "list", "--admin-url", &sandbox.admin_url]);
        command.current_dir(elsewhere.path());
        command
    };
    let without = list().output().unwrap();
    assert_eq!(without.status.code(), Some(2), "{without:?}");
    assert!(String::from_utf8_lossy(&without.stderr).contains("MINTKEEP_ADMIN_TOKEN"));

    let by_environment = list().env("MINTKEEP_ADMIN_TOKEN", token.trim()).output().unwrap();
    assert_eq!(by_environment.status.code(), Some(0), "{by_environment:?}");

    std::fs::create_dir(elsewhere.path().join("mintkeep-data")).unwrap();
    std::fs::write(elsewhere.path().join("mintkeep-data/admin.token"), &token).unwrap();
    let by_file = list().output().unwrap();
    assert_eq!(by_file.status.code(), Some(0), "{by_file:?}");
    let first = list().arg("--admin-token-file").arg("nowhere").output().unwrap();
    assert_eq!(first.status.code(), Some(2), "the option counts first: {first:?}");
    let file = sandbox.data("admin.token");
    let first =
        list().env("MINTKEEP_ADMIN_TOKEN", "none").arg("--admin-token-file").arg(file).output().unwrap();
    assert_eq!(first.status.code(), Some(0), "before the environment too: {first:?}");
    let none = list().env("MINTKEEP_ADMIN_TOKEN", "two words").output().unwrap();
    assert_eq!(none.status.code(), Some(2), "it is not shown to a server: {none:?}");
}

#[test]
fn an_app_lives_by_its_verbs() {
    let sandbox = Sandbox::start();
    let created = sandbox.json(&[
        "app",
        "create",
        "--dialect",
        "wechat",
        "--name",
        "Shop",
        "--setting",
        "access_lifetime_s=60",
    ]);
    let id = created["app"]["id"].as_str().unwrap();
    let old = created["secret"].as_str().unwrap();
    let token_path =
        |secret: &str| format!("/cgi-bin/token?grant_type=client_credential&appid={id}&secret={secret}");
    assert!(issuer_says(&sandbox, &token_path(old)).contains("\"expires_in\":60"));

    let rotated = sandbox.run(&["app", "rotate-secret", id, "--overlap", "0s"]);
    let new = rotated.out.trim();
    assert!(issuer_says(&sandbox, &token_path(old)).contains("40001"), "{rotated:?}");
    let answer = issuer_says(&sandbox, &token_path(new));
    let token = answer.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(sandbox.json(&["inspect", token])["state"], "good");

    for (verb, state) in [("disable", "app_disabled"), ("enable", "good"), ("revoke-tokens", "revoked")] {
        sandbox.json(&["app", verb, id]);
        assert_eq!(sandbox.json(&["inspect", token])["state"], state, "{verb}");
    }
    let narrowed =
        ["app", "set", id, "--name", "Other", "--address", "192.0.2.0/24", "--setting", "overlap_s=7"];
    let changed = sandbox.json(&narrowed);
    assert_eq!(changed["addresses"], json!(["192.0.2.0/24"]));
    assert_eq!(changed["settings"], json!({"access_lifetime_s": 60, "overlap_s": 7}), "the rest stays");
    assert!(issuer_says(&sandbox, &token_path(new)).contains("40164"), "from elsewhere");
    let widened = sandbox.json(&["app", "set", id, "--any-address", "--setting", "overlap_s=null"]);
    assert_eq!((&widened["addresses"], &widened["name"]), (&json!([]), &json!("Other")));
    assert_eq!(widened["settings"], json!({"access_lifetime_s": 60}));
    let shown = sandbox.run(&["app", "show", id]);
    assert!(shown.out.contains("access_lifetime_s=60") && !shown.out.contains(new), "{shown:?}");
    assert!(sandbox.run(&["app", "list"]).out.contains(id));
    assert_eq!(sandbox.run(&["app", "delete", id]).code, 0);
    assert_eq!(sandbox.run(&["app", "show", id]).code, 1);
}

#[test]
fn a_drawn_private_key_goes_into_a_file_of_its_own() {
    let sandbox = Sandbox::start();
    let file = sandbox.folder.path().join("key.pem");
    let out = file.to_str().unwrap();
    let taken = ["--id", "ALHK0000000000000001", "--name", "x", "--private-key-out", out];
    let refused = sandbox.run(&[&["app", "create", "--dialect", "alipayhk"][..], &taken].concat());
    assert_eq!((refused.code, file.exists()), (1, false), "nothing is left of what was refused");

    let create = ["app", "create", "--dialect", "alipayhk", "--name", "Shop", "--private-key-out", out];
    let created = sandbox.run(&create);
    assert_eq!(created.code, 0, "{created:?}");
    let pem = std::fs::read_to_string(&file).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----") && !created.out.contains(pem.trim()));
    assert_eq!(mode(&file), 0o600);
    assert_eq!(sandbox.run(&create).code, 1, "a file is never replaced");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), pem);
}

#[test]
fn a_drawn_private_key_whose_file_can_not_be_written_is_told_all_the_same() {
    let sandbox = Sandbox::start();
    let file = sandbox.folder.path().join("key.pem");
    let out = file.to_str().unwrap();
    let create = sandbox.command(&[
        "app",
        "create",
        "--dialect",
        "alipayhk",
        "--name",
        "Shop",
        "--private-key-out",
        out,
    ]);
    // Files may not grow, as on a full disk.
    let full = Command::new("sh")
        .args(["-c", "trap '' 25; ulimit -f 0; exec \"$@\"", "sh"])
        .arg(create.get_program())
        .args(create.get_args())
        .env("MINTKEEP_ADMIN_URL", &sandbox.admin_url)
        .output()
        .unwrap();
    let ran = Ran::of(&["app", "create"], &full);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("can't be written"), "{ran:?}");
    assert!(ran.out.contains("ALHK") && ran.out.contains("BEGIN PRIVATE KEY"), "{ran:?}");
    assert!(!file.exists(), "nothing stands in the way of another try");
}

#[test]
fn a_code_becomes_a_grant_that_is_listed_inspected_and_revoked() {
    let sandbox = Sandbox::start();
    let put = sandbox.json(&["customer", "put", "C1", "--nick-name", "大文"]);
    assert_eq!(put, sandbox.json(&["customer", "show", "C1"]));
    sandbox.json(&["customer", "put", "C1", "--status", "frozen"]);
    let frozen = sandbox.json(&["customer", "show", "C1"]);
    assert_eq!((&frozen["status"], &frozen["profile"]), (&json!("frozen"), &put["profile"]), "it stays");
    assert_eq!(sandbox.json(&["customer", "put", "C1"]), put);
    let listed = sandbox.json(&["customer", "list"]);
    assert_eq!((listed["customers"].as_array().unwrap().last(), &listed["next"]), (Some(&put), &json!(null)));
    let fewer = sandbox.json(&["customer", "list", "--most", "1"]);
    assert_eq!((&fewer["customers"][1], &fewer["next"]), (&json!(null), &json!("2160000000000001")));
    assert!(sandbox.run(&["customer", "list"]).out.contains("大文"));
    let issued = sandbox.run(&["code", "issue", "--app", "MINI0000000000000001", "--customer", "C1"]);
    let code = issued.out.trim();
    assert_eq!(code.len(), 55, "the code alone is on standard output: {issued:?}");

    let mut inspect = sandbox.command(&["inspect", "-", "--json"]);
    let mut inspect = inspect.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(inspect.stdin.take().unwrap(), "{code}").unwrap();
    let told: Value = serde_json::from_slice(&inspect.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((&told["state"], &told["customer_id"]), (&json!("good"), &json!("C1")));

    let grants = sandbox.json(&["grant", "list", "--customer", "C1"]);
    let id = grants["grants"][0]["id"].as_str().unwrap();
    assert!(sandbox.run(&["grant", "list"]).out.contains(id));
    assert_eq!(sandbox.json(&["grant", "revoke", id])["state"], "revoked");
    assert_eq!(sandbox.json(&["inspect", code])["state"], "revoked");
}

#[test]
fn the_clock_and_the_faults_obey() {
    let sandbox = Sandbox::start();
    assert_eq!(sandbox.json(&["clock", "advance", "2h"])["offset_s"], 7_200);
    assert_eq!(sandbox.json(&["clock", "advance", "301s"])["offset_s"], 7_501);
    assert!(sandbox.run(&["clock", "show"]).out.contains("7501 s ahead"));
    assert_eq!(sandbox.json(&["clock", "reset"])["offset_s"], 0);

    let path =
        "/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=sandbox-wechat-secret";
    sandbox.json(&[
        "fault",
        "add",
        "--dialect",
        "wechat",
        "--endpoint",
        "/cgi-bin/token",
        "--action",
        "answer",
        "--code",
        "-1",
    ]);
    assert!(issuer_says(&sandbox, path).contains("\"errcode\":-1"));
    assert!(sandbox.run(&["fault", "list"]).out.contains("/cgi-bin/token"));
    assert_eq!(sandbox.json(&["fault", "clear"])["cleared"].as_array().unwrap().len(), 1);
    assert!(issuer_says(&sandbox, path).contains("access_token"));
    let dropped =
        sandbox.json(&["fault", "add", "--dialect", "wechat", "--action", "drop-before", "--count", "1"]);
    assert_eq!(issuer_says(&sandbox, path), "", "the connection ends without an answer");
    assert_eq!(sandbox.run(&["fault", "clear", &dropped["id"].to_string()]).code, 1, "it is used up");
}

#[test]
fn the_keeper_is_worked_by_its_verbs() {
    let sandbox = Sandbox::start();
    assert!(sandbox.run(&["credential", "list"]).out.contains("wechat-sandbox"));
    let all = sandbox.json(&["credential", "list"]);
    let first = sandbox.json(&["credential", "list", "--most", "1"]);
    assert_eq!((&first["credentials"][0], &first["credentials"][1]), (&all["credentials"][0], &json!(null)));
    assert_eq!((&first["next"], &all["next"]), (&first["credentials"][0]["name"], &json!(null)));
    let first = sandbox.run(&["token", "get", "wechat-sandbox"]);
    assert_eq!(sandbox.json(&["inspect", first.out.trim()])["state"], "good", "{first:?}");
    assert_eq!(sandbox.json(&["token", "refresh", "dingtalk-sandbox"])["good"], true);
    assert!(sandbox.run(&["token", "list"]).out.contains("wechat-sandbox"));
    assert!(sandbox.run(&["token", "explain", "dingtalk-sandbox"]).out.contains("operator"));

    let secret = sandbox.folder.path().join("secret.txt");
    std::fs::write(&secret, "sandbox-wechat-secret\n").unwrap();
    let add = [
        "credential",
        "add",
        "mine",
        "--dialect",
        "wechat",
        "--app",
        "wx0000000000000001",
        "--base-url",
        &sandbox.issuer_url,
        "--secret-file",
        secret.to_str().unwrap(),
    ];
    let added = sandbox.json(&add);
    assert!(!added.to_string().contains("sandbox-wechat-secret"));
    assert_eq!(sandbox.run(&add).code, 1, "the name is taken");
    assert_eq!(sandbox.json(&["credential", "show", "mine"])["app_id"], "wx0000000000000001");
    assert_eq!(sandbox.run(&["credential", "remove", "mine"]).code, 0);
    assert_eq!(sandbox.run(&["credential", "show", "mine"]).code, 1);

    let made =
        sandbox.json(&["consumer", "create", "orders", "--credential", "wechat-sandbox", "--verb", "read"]);
    assert!(made["key"].as_str().unwrap().starts_with("mk_"));
    assert!(sandbox.run(&["consumer", "list"]).out.contains("orders"));
    assert_eq!(sandbox.run(&["consumer", "revoke", "orders"]).code, 0);
    assert_eq!(sandbox.run(&["consumer", "revoke", "nobody"]).code, 1);
    let early =
        sandbox.run(&["consumer", "create", "early", "--credential", "wechat-sandbox,wechat-snadbox"]);
    assert_eq!(early.code, 0, "a credential may be added after those who use it: {early:?}");
    assert!(early.err.contains("wechat-snadbox") && !early.err.contains("wechat-sandbox"), "{early:?}");
}

#[test]
fn the_audit_is_told_and_followed() {
    let sandbox = Sandbox::start();
    let told = sandbox.run(&["audit", "tail", "--most", "1000"]);
    assert!(told.out.contains("app_created") && told.out.contains("wx0000000000000001"), "{told:?}");

    let mut follower = sandbox.command(&["audit", "tail", "--follow", "--json", "--most", "1"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    sandbox.json(&["customer", "put", "C9"]);
    let next = lines
        .map(|line| serde_json::from_str::<Value>(&line).unwrap())
        .find(|line| line["subject"] == "C9")
        .unwrap();
    assert!(next["n"].as_i64() > first["n"].as_i64());
    assert_eq!((&next["action"], &next["actor"]), (&json!("customer_put"), &json!("admin")));

    let ended = (0..2_000).find_map(|_| {
        sandbox.json(&["customer", "put", "C9"]);
        follower.try_wait().unwrap()
    });
    assert!(ended.expect("nobody reads it any more").success());
}

/// It is held while more is written than one answer has, as if all of it had come within its second.
#[test]
fn a_follower_that_was_outrun_tells_every_line_that_it_has_missed() {
    const MINTED: usize = 1_200;
    let sandbox = Sandbox::start();
    let mut follower = sandbox.command(&["audit", "tail", "--follow", "--json", "--most", "1"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let mut last = lines.next().unwrap()["n"].as_i64().unwrap();
    let signal = |name: &str| {
        let pid = follower.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };

    signal("-STOP");
    let token =
        "/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=sandbox-wechat-secret";
    for _ in 0..MINTED {
        let answer = issuer_says(&sandbox, token);
        assert!(answer.contains("access_token"), "{answer}");
    }
    signal("-CONT");
    let mut minted = 0;
    while minted < MINTED {
        let line = lines.next().unwrap();
        assert_eq!(line["n"].as_i64(), Some(last + 1), "no line is passed over");
        last += 1;
        let is_ours = line["action"] == "token_minted" && line["subject"] == "wx0000000000000001";
        minted += usize::from(is_ours);
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}
