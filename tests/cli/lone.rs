//! What works without a server: keys, help, completions.

use mintkeep_protocol::crypto::{MasterKey, RsaPrivateKey};
use serde_json::Value;

use super::sandbox::{Ran, alone, mode};

#[test]
fn keys_are_made_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let pair = ["key", "generate", "--out", out, "--json"];
    let master = ["key", "generate", "--out", out, "--json", "--master"];
    let cases = [
        (&pair[..], vec![("app_private.pem", 0o600), ("app_public.pem", 0o644)]),
        (&master[..], vec![("master.key", 0o600)]),
    ];
    for (args, files) in cases {
        let ran = Ran::alone(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        for (file, wanted) in files {
            let path = folder.path().join(file);
            assert_eq!(mode(&path) & wanted, mode(&path), "{file}");
            assert!(ran.out.contains(file) && !ran.out.contains("BEGIN"), "{ran:?}");
        }
        assert_eq!(Ran::alone(args).code, 1, "no file is replaced");
    }
    let master = std::fs::read_to_string(folder.path().join("master.key")).unwrap();
    assert!(MasterKey::parse(&master).is_ok());
    let private = std::fs::read_to_string(folder.path().join("app_private.pem")).unwrap();
    let public = std::fs::read_to_string(folder.path().join("app_public.pem")).unwrap();
    let private = RsaPrivateKey::from_pem(&private).unwrap();
    assert_eq!(private.public().to_pem(), public);
}

/// Every command by its words, out of the help texts themselves.
fn commands(of: &[String]) -> Vec<Vec<String>> {
    let mut args: Vec<&str> = of.iter().map(String::as_str).collect();
    args.push("--help");
    let help = Ran::alone(&args);
    assert_eq!(help.code, 0, "{help:?}");
    let listed = help.out.split("Commands:").nth(1).unwrap_or_default();
    let names = listed.lines().skip(1).take_while(|line| !line.trim().is_empty()).filter_map(|line| {
        let is_name = line.starts_with("  ") && !line.starts_with("   ");
        is_name.then(|| line.split_whitespace().next().unwrap().to_owned())
    });
    let below = names.filter(|name| name != "help").flat_map(|name| commands(&[of, &[name]].concat()));
    let mut all: Vec<_> = below.collect();
    all.push(of.to_vec());
    all
}

#[test]
fn every_command_helps_with_examples_and_the_server_is_asked_only_by_those_that_need_it() {
    let all = commands(&[]);
    let words: Vec<String> = all.iter().map(|command| command.join(" ")).collect();
    #[rustfmt::skip]
    let wanted = [
        "dev", "serve", "app create", "app list", "app show", "app set", "app rotate-secret", "app add-key", "app revoke-tokens",
        "app disable", "app enable", "app delete", "customer put", "customer list", "customer show", "code issue", "grant list",
        "grant revoke", "inspect", "credential add", "credential list", "credential show", "credential remove",
        "consumer create", "consumer list", "consumer revoke", "token get", "token refresh", "token list",
        "token explain", "clock show", "clock advance", "clock reset", "fault add", "fault list", "fault clear",
        "audit tail", "key generate", "backup", "store copy", "store mark-restored", "migrate", "completions",
    ];
    for command in wanted {
        assert!(words.iter().any(|known| known == command), "{command}");
    }
    for command in &all {
        let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
        args.push("--help");
        let help = Ran::alone(&args).out;
        assert!(help.contains("Example"), "{command:?} has an example");
        let works_alone =
            ["--help", "dev", "serve", "config", "backup", "store", "migrate", "key", "completions"]
                .contains(&args[0]);
        assert_eq!(help.contains("--admin-url"), !works_alone, "{command:?}");
    }
}

/// A shell is given all examples of a help at once, in a folder and a home of their own and with no server to ask.
#[test]
fn every_example_is_understood_when_it_is_pasted() {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_mintkeep")).parent().unwrap();
    for command in commands(&[]) {
        let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = Ran::alone(&args).out;
        let Some((_, examples)) = help.split_once("Example:\n").or_else(|| help.split_once("Examples:\n"))
        else {
            continue;
        };
        // `dev` would run on.
        let lines = examples.lines().take_while(|line| line.starts_with("  ")).map(str::trim_start);
        let script = lines.filter(|line| !line.starts_with("mintkeep dev")).collect::<Vec<_>>().join("\n");
        let folder = tempfile::tempdir().unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).current_dir(folder.path()).stdin(std::process::Stdio::null());
        shell.env_clear().env("HOME", folder.path()).env("MINTKEEP_ADMIN_TOKEN", "none");
        shell
            .env("MINTKEEP_ADMIN_URL", "http://127.0.0.1:1")
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        let ran = Ran::of(&args, &shell.output().unwrap());
        assert!(!ran.err.lines().any(|line| line.starts_with("error:")), "{script}{ran:?}");
    }
}

#[test]
fn a_word_that_is_not_one_of_a_few_is_a_mistake_in_usage_and_no_server_is_asked() {
    #[rustfmt::skip]
    let cases = [
        (&["app", "create", "--name", "Shop", "--dialect", "whatsapp"][..],              "wechat"),
        (&["credential", "add", "shop", "--app", "wx1", "--dialect", "whatsapp"],        "wechat"),
        (&["fault", "add", "--action", "drop-after", "--dialect", "whatsapp"],           "wechat"),
        (&["consumer", "create", "shop", "--all-credentials", "--verb", "read,write"],   "report"),
        (&["customer", "put", "c1", "--status", "thawed"],                               "frozen"),
        (&["app", "list", "--most", "0"],                                                "1.."),
        (&["audit", "tail", "--most", "1001"],                                           "1..=1000"),
        (&["dev", "--ephemeral", "--admin", "0.0.0.0:0"],                                "loopback"),
        (&["dev", "--ephemeral", "--issuer", "[::]:0"],                                  "loopback"),
        (&["dev", "--ephemeral", "--keeper", "192.0.2.7:0"],                             "loopback"),
    ];
    for (args, told) in cases {
        let ran = Ran::alone(args);
        assert!(ran.code == 2 && ran.err.contains(told), "{ran:?}");
    }
}

#[test]
fn what_goes_wrong_on_this_machine_is_told_as_json_too() {
    #[rustfmt::skip]
    let cases = [
        (&["app", "list", "--json", "--admin-url", "http://127.0.0.1:1"][..], 3, "unreachable", "127.0.0.1:1"),
        (&["app", "list", "--json", "--admin-url", "nowhere"],                2, "usage",       "--admin-url"),
        (&["customer", "put", "", "--json"],                                  2, "usage",       "name is empty"),
        (&["app", "list", "--json", "--frob"],                                2, "usage",       "--frob"),
        (&["token", "get", "--json"],                                         2, "usage",       "CREDENTIAL"),
        (&["key", "generate", "--json", "--out", "/dev/null/x"],              1, "not-done",    "/dev/null/x"),
        (&["migrate", "--json", "--config", "/nonexistent"],                  1, "not-done",    "/nonexistent"),
    ];
    for (args, code, kind, told) in cases {
        let ran = Ran::of(args, &alone(args).env("MINTKEEP_ADMIN_TOKEN", "none").output().unwrap());
        assert!(ran.code == code && ran.out.is_empty(), "{ran:?}");
        let problem: Value = serde_json::from_str(ran.err.lines().last().unwrap()).unwrap();
        assert_eq!(problem["type"], format!("urn:mintkeep:problem:{kind}"));
        assert!(
            problem["title"].is_string() && problem["detail"].as_str().unwrap().contains(told),
            "{problem}"
        );
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Ran::alone(&["completions", shell]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("revoke-tokens"), "{shell}");
    }
    assert_eq!(Ran::alone(&["completions", "cmd"]).code, 2);
}

#[test]
fn what_nobody_can_be_told_changes_no_exit_code() {
    let nowhere = ["app", "list", "--admin-url", "http://127.0.0.1:1"];
    let cases: [(&[&str], i32); 5] = [
        (&["serve", "--config", "/nonexistent"], 1),
        (&["config", "check", "/nonexistent"], 1),
        (&["key", "generate", "--out", "/dev/null/x"], 1),
        (&["migrate", "--config", "/nonexistent"], 1),
        (&nowhere, 3),
    ];
    for (args, code) in cases {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran =
            Ran::of(args, &alone(args).env("MINTKEEP_ADMIN_TOKEN", "none").stderr(full).output().unwrap());
        assert_eq!(ran.code, code, "{ran:?}");
    }
}

#[test]
fn who_has_read_enough_of_an_example_makes_it_no_failure() {
    let mut example = alone(&["config", "example"]);
    // The reading end is gone before anything is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = Ran::of(&["config", "example"], &example.stdout(writer).output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn an_answer_that_can_not_be_written_is_no_success() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let args = ["completions", "bash"];
    let ran = Ran::of(&args, &alone(&args).stdout(full).output().unwrap());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("the answer is lost"), "{ran:?}");
}
