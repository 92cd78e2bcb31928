//! Configurations, good and bad, in folders of their own.

use std::fs;
use std::path::Path;

use mintkeep_issuer::consent::ConsentSettings;
use mintkeep_protocol::time::Timestamp;
use tempfile::TempDir;

use super::secret::Reading;
use super::*;

/// The certificates and keys that the tests of `crates/web` hold.
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/web/tests/listener/certificates");

/// A folder with every file that the example refers to.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    fs::create_dir(folder.path().join("tls")).unwrap();
    for name in ["server.pem", "server.key", "client.key"] {
        put(&format!("tls/{name}"), &fs::read_to_string(Path::new(TLS).join(name)).unwrap());
    }
    put("admin.token", &format!("{}\n", "a".repeat(ADMIN_TOKEN_CHARS_MIN)));
    put("short.token", &"a".repeat(ADMIN_TOKEN_CHARS_MIN - 1));
    put("master.key", &MasterKey::encode(&[7; 32]));
    put("two-lines.token", &"a\n".repeat(ADMIN_TOKEN_CHARS_MIN));
    put("long", &"a".repeat(256 * 1024 + 1));
    put("empty", "\n");
    folder
}

fn read_in(folder: &Path, text: &str) -> Result<(Settings, Vec<Remark>), Vec<Remark>> {
    read_at(1_800_000_000_000, folder, text)
}

fn read_at(now_ms: i64, folder: &Path, text: &str) -> Result<(Settings, Vec<Remark>), Vec<Remark>> {
    let variable =
        |name: &str| (name == "DATABASE").then(|| "postgres://u:planted-secret@host/db".to_owned());
    let now = Timestamp::from_unix_ms(now_ms);
    read(text, &Surroundings { folder: folder.to_owned(), variable: &variable, now, reading: Reading::First })
}

/// The mistakes and warnings of `text`, a line each.
fn remarks(folder: &Path, text: &str) -> String {
    let remarks = match read_in(folder, text) {
        Ok((_settings, warnings)) => warnings,
        Err(mistakes) => mistakes,
    };
    remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A good configuration, with `line` put in the place of the one that begins alike, or at its section's end.
fn with(replaced: &str, by: &str) -> String {
    let good = "[issuer]\n\
        listen = \"127.0.0.1:7600\"\n\
        public_url = \"https://tokens.example.com\"\n\
        [admin]\n\
        listen = \"127.0.0.1:7800\"\n\
        token = \"file:admin.token\"\n\
        [store]\n\
        path = \"data\"\n\
        [master_key]\n\
        current = \"file:master.key\"\n";
    assert!(good.contains(replaced), "{replaced}");
    good.replacen(replaced, by, 1)
}

#[test]
fn the_example_can_be_served_and_shows_the_defaults() {
    let folder = folder();
    let (shown, warnings) = read_in(folder.path(), EXAMPLE).map_err(|all| format!("{all:#?}")).unwrap();
    assert_eq!(warnings, []);
    assert!(shown.keeper.is_some() && shown.issuer.is_some_and(|issuer| issuer.listener.tls.is_some()));

    let told: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .filter(|line| !line.starts_with("url =") && !line.starts_with("older ="))
        .filter(|line| !line.starts_with("client_authority") && !line.starts_with("trusted"))
        .filter(|line| !line.starts_with("public_url = \"https://admin"))
        .filter(|line| !line.starts_with("wallet_url") && !line.starts_with("frame_origins"))
        .collect();
    let told = told.join("\n");
    assert!(told.contains("\nconnections_max = 16384"), "{told}");
    let (told, _warnings) = read_in(folder.path(), &told).map_err(|all| format!("{all:#?}")).unwrap();
    assert_eq!(told.limits, Limits::default());
    assert_eq!((told.log.format, told.log.level, told.log.access), (Format::Json, Level::INFO, true));
    assert_eq!((told.drain.notice, told.drain.deadline), (DEFAULT_DRAIN.notice, DEFAULT_DRAIN.deadline));
}

#[test]
fn each_mistake_is_told_with_its_line_and_its_remedy() {
    let folder = folder();
    #[rustfmt::skip]
    let cases = [
        ("no role",           with("[issuer]\nlisten = \"127.0.0.1:7600\"\npublic_url = \"https://tokens.example.com\"\n", ""), "line 1: this server has no role; write [issuer]"),
        ("no admin",          with("[admin]\nlisten = \"127.0.0.1:7800\"\ntoken = \"file:admin.token\"\n", ""), "line 1: `admin` is missing; write [admin]"),
        ("no token",          with("token = \"file:admin.token\"\n", ""),              "line 4: `admin.token` is missing; write token"),
        ("inline token",      with("file:admin.token", "planted-secret"),              "line 6: `admin.token` must not be the secret itself; put it into a file"),
        ("console of a path", with("[store]", "public_url = \"https://a.example/console\"\n[store]"), "line 7: `admin.public_url` can't be \"https://a.example/console\"; write a URL without a path"),
        ("short token",       with("admin.token\"", "short.token\""),                  "line 6: `admin.token` has fewer than 32 characters; make one"),
        ("token of lines",    with("admin.token\"", "two-lines.token\""),              "line 6: `admin.token` has characters that no header can carry"),
        ("long file",         with("admin.token\"", "long\""),                         "long can't be read (it is longer than 256 KiB)"),
        ("token not there",   with("admin.token\"", "nowhere\""),                      "nowhere can't be read (No such file"),
        ("empty token",       with("admin.token\"", "empty\""),                        "line 6: `admin.token` refers to an empty secret"),
        ("variable not set",  with("file:admin.token", "env:NOWHERE"),                 "line 6: `admin.token` refers to the variable \"NOWHERE\", which is not set"),
        ("no public URL",     with("public_url", "#"),                                 "line 1: `issuer.public_url` is missing; write public_url"),
        ("URL with a path",   with("example.com", "example.com/"),                     "line 3: `issuer.public_url` can't be"),
        ("URL with a user",   with("//tokens", "//me@tokens"),                         "line 3: `issuer.public_url` can't be"),
        ("frame of a path",   with("[admin]", "frame_origins = [\"https://a.example\",\n\"https://a.example/\"]\n[admin]"), "line 5: `issuer.frame_origins` can't hold \"https://a.example/\"; write scheme and host"),
        ("frame without TLS", with("[admin]", "frame_origins = [\"http://a.example\"]\n[admin]"), "line 4: `issuer.frame_origins` can't hold"),
        ("frame of all",      with("[admin]", "frame_origins = [\"https://*.example\"]\n[admin]"), "line 4: `issuer.frame_origins` can't hold"),
        ("frame and a rule",  with("[admin]", "frame_origins = [\"https://a;script-src\"]\n[admin]"), "line 4: `issuer.frame_origins` can't hold"),
        ("frame not a list",  with("[admin]", "frame_origins = \"https://a.example\"\n[admin]"), "line 4: `issuer.frame_origins` is a text and must be a list"),
        ("wallet a script",   with("[admin]", "wallet_url = \"javascript:alert(1)\"\n[admin]"), "line 4: `issuer.wallet_url` can't be"),
        ("wallet with a fragment", with("[admin]", "wallet_url = \"https://a.example/#b\"\n[admin]"), "line 4: `issuer.wallet_url` can't be"),
        ("no port",           with("127.0.0.1:7600", "127.0.0.1"),                     "line 2: `issuer.listen` can't be \"127.0.0.1\"; write an address and a port"),
        ("number for text",   with("\"127.0.0.1:7600\"", "7600"),                      "line 2: `issuer.listen` is a number and must be a text; write it in quotes"),
        ("same address",      with("7800", "7600"),                                    "line 5: `admin.listen` takes the port of `issuer.listen`"),
        ("port of all IPv4",  with("127.0.0.1:7800", "0.0.0.0:7600"),                  "line 5: `admin.listen` takes the port of `issuer.listen`"),
        ("port of all",       with("127.0.0.1:7600", "[::]:7800"),                     "line 5: `admin.listen` takes the port of `issuer.listen`"),
        ("port of all IPv6",  with("127.0.0.1:7600", "[::]:7600").replace("127.0.0.1:7800", "[::1]:7600"), "line 5: `admin.listen` takes the port of `issuer.listen`"),
        ("unknown setting",   with("[admin]", "lissen = 1\n[admin]"),                  "line 4: there is no setting `issuer.lissen`; remove it, or write one of listen, title_case_headers, tls, public_url, wallet_url, frame_origins"),
        ("unknown section",   with("[store]", "[limit]\n[store]"),                     "line 7: there is no setting `limit`; remove it, or write one of issuer, keeper"),
        ("sandbox",           with("[store]", "[sandbox]\nclock = true\n[store]"),     "line 7: there is no setting `sandbox`; remove it; the sandbox, its clock and its fault rules exist only under `mintkeep dev`"),
        ("faults",            with("[store]", "faults = []\n[store]"),                 "exist only under `mintkeep dev`"),
        ("no store",          with("path = \"data\"\n", ""),                           "line 7: `store.path` is missing"),
        ("nameless folder",   with("\"data\"", "\"\""),                                "line 8: `store.path` is empty; write the path of a folder"),
        ("folder a file",     with("\"data\"", "\"empty\""),                           "empty is a file; write the path of a folder"),
        ("folder in a file",  with("\"data\"", "\"empty/a/b\""),                       "empty is a file; write the path of a folder"),
        ("two stores",        with("path", "url = \"env:DATABASE\"\npath"),            "line 8: `store.path` and `store.url` are both given"),
        ("password in URL",   with("path = \"data\"", "url = \"postgres://u:planted-secret@h/d\""), "line 8: `store.url` must not be the secret itself"),
        ("odd password in URL", with("path = \"data\"", "url = \"postgres://u:planted?secret@h/d\""), "line 8: `store.url` must not be the secret itself"),
        ("password parameter", with("path = \"data\"", "url = \"postgres://h/d?password=planted-secret\""), "line 8: `store.url` must not be the secret itself"),
        ("other database",    with("path = \"data\"", "url = \"file:admin.token\""),   "line 8: `store.url` does not refer to the URL of a PostgreSQL database"),
        ("no such port",      with("path = \"data\"", "url = \"postgres://u@h:99999/d\""), "line 8: `store.url` does not refer to the URL"),
        ("unknown sslmode",   with("path = \"data\"", "url = \"postgres://u@h/d?sslmode=on\""), "line 8: `store.url` asks for TLS that can't be had; sslmode is none of"),
        ("no such authority", with("path = \"data\"", "url = \"postgres://u@h/d?sslmode=verify-ca&sslrootcert=/nowhere\""), "line 8: `store.url` asks for TLS that can't be had"),
        ("no master key",     with("file:master.key", "file:admin.token"),             "line 10: `master_key.current` does not refer to a master key; make one"),
        ("older not a list",  with("current", "older = 1\ncurrent"),                   "line 10: `master_key.older` is a number and must be a list"),
        ("limit too small",   with("[store]", "[limits]\nbody_bytes_max = 0\n[store]"), "line 8: `limits.body_bytes_max` is no number of bytes that can be used; write a whole number from 1024"),
        ("limit a text",      with("[store]", "[limits]\nread_timeout_s = \"10\"\n[store]"), "line 8: `limits.read_timeout_s` is no number of seconds"),
        ("level",             with("[store]", "[log]\nlevel = \"loud\"\n[store]"),     "line 8: `log.level` can't be \"loud\"; write \"error\""),
        ("access a text",     with("[store]", "[log]\naccess = \"no\"\n[store]"),      "line 8: `log.access` is a text; write true or false"),
        ("proxy",             with("[store]", "[proxies]\ntrusted = [\n \"10/8\"]\n[store]"), "line 9: `proxies.trusted` can't hold \"10/8\""),
        ("section a text",    with("[store]", "[log]\n[store]").replace("[issuer]", "keeper = \"yes\"\n[issuer]"), "line 1: `keeper` is a text and must be a table"),
        ("TLS without a key", with("[admin]", "[issuer.tls]\ncertificate = \"tls/server.pem\"\n[admin]"), "line 4: `issuer.tls.key` is missing"),
        ("key inline",        with("[admin]", "[issuer.tls]\ncertificate = \"tls/server.pem\"\nkey = \"planted-secret\"\n[admin]"), "line 6: `issuer.tls.key` must not be the secret itself"),
        ("key of another",    with("[admin]", "[issuer.tls]\ncertificate = \"tls/server.pem\"\nkey = \"file:tls/client.key\"\n[admin]"), "line 6: certificate and key do not go together"),
        ("no certificate",    with("[admin]", "[issuer.tls]\ncertificate = \"empty\"\nkey = \"file:tls/server.key\"\n[admin]"), "line 5: no certificate found; give a PEM file"),
        ("not TOML",          with("[store]", "token = = \"planted-secret\"\n[store]"), "line 7: this is not TOML"),
        ("a setting twice",   with("[store]", "token = \"planted-secret\"\n[store]"),  "line 7: this is not TOML (duplicate key)"),
    ];
    for (case, text, expected) in cases {
        let said = remarks(folder.path(), &text);
        assert!(read_in(folder.path(), &text).is_err(), "{case}: accepted");
        assert!(said.contains(expected), "{case}: {said}");
        assert!(!said.contains("planted-secret"), "{case}: {said}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_by_line() {
    let text = "[issuer]\nlisten = 1\n[admin]\ntoken = \"inline\"\n[drain]\nnotice = 1\n";
    let said = remarks(folder().path(), text);
    let lines: Vec<&str> = said.lines().filter_map(|line| line.split(':').next()).collect();
    let expected = ["line 1", "line 1", "line 1", "line 2", "line 3", "line 4", "line 6"];
    assert_eq!(lines, expected, "{said}");
}

#[test]
fn what_works_and_is_hardly_meant_so_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    assert_eq!(remarks(folder.path(), &with("[", "[")), "");
    let outside = remarks(folder.path(), &with("127.0.0.1:7600", "0.0.0.0:7600"));
    assert!(
        outside.starts_with(
            "line 2: `issuer.listen` can be reached from outside, without TLS; write [issuer.tls]"
        )
    );
    let plain = remarks(folder.path(), &with("https://", "http://"));
    assert!(plain.starts_with("line 3: `issuer.public_url` sends tokens over plain HTTP; write https://"));

    let token = folder.path().join("admin.token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let open = remarks(folder.path(), &with("[", "["));
    assert!(open.contains("can be read by every user of this machine; run chmod 600"), "{open}");
}

/// A good configuration with TLS.
fn with_tls() -> String {
    with("[admin]", "[issuer.tls]\ncertificate = \"tls/server.pem\"\nkey = \"file:tls/server.key\"\n[admin]")
}

#[test]
fn a_certificate_that_callers_will_refuse_is_warned_of() {
    let folder = folder();
    for (now_ms, told) in [(0, "is not valid yet"), (10_000_000_000_000, "has expired")] {
        let read = read_at(now_ms, folder.path(), &with_tls()).map_err(|all| format!("{all:#?}"));
        let [warning] = &read.unwrap().1[..] else { panic!("one warning") };
        let expected = format!("line 5: `issuer.tls.certificate` {told}; give one that is valid today");
        assert!(warning.to_string().starts_with(&expected), "{warning}");
    }
}

#[test]
fn a_byte_order_mark_is_not_of_the_text() {
    let folder = folder();
    for name in ["tls/server.pem", "tls/server.key", "admin.token", "master.key"] {
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("\u{feff}{text}")).unwrap();
    }
    assert_eq!(remarks(folder.path(), &with_tls()), "");
    assert_eq!(remarks(folder.path(), &format!("\u{feff}{}", with_tls())), "");
}

#[test]
fn the_authorization_page_knows_the_wallet_and_who_may_frame_it() {
    let folder = folder();
    let consent_of = |text: &str| {
        let read = read_in(folder.path(), text).map_err(|all| format!("{all:#?}"));
        read.unwrap().0.issuer.unwrap().consent
    };
    assert_eq!(consent_of(&with("[", "[")), ConsentSettings::default());
    let wallet = "wallet_url = \"https://wallet.example/sign-in?from=mintkeep\"\n\
                  frame_origins = [\"https://wallet.example\", \"https://[::1]:8443\"]\n[admin]";
    let expected = ConsentSettings {
        frame_origins: vec!["https://wallet.example".to_owned(), "https://[::1]:8443".to_owned()],
        wallet_url: Some("https://wallet.example/sign-in?from=mintkeep".to_owned()),
    };
    assert_eq!(consent_of(&with("[admin]", wallet)), expected);
}

#[test]
fn a_database_is_named_by_a_url_without_a_password_or_by_reference() {
    let folder = folder();
    for (url, expected) in [
        ("postgres://mintkeep@db.example/mintkeep", "postgres://mintkeep@db.example/mintkeep"),
        ("env:DATABASE", "postgres://u:planted-secret@host/db"),
    ] {
        let text = with("path = \"data\"", &format!("url = \"{url}\""));
        let (settings, _warnings) = read_in(folder.path(), &text).map_err(|all| format!("{all:#?}")).unwrap();
        assert!(
            matches!(settings.store, StoreSettings::Postgres(read) if read.as_str() == expected),
            "{url}"
        );
    }
}
