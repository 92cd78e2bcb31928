//! A process from its start to its end: what it keeps, whom it lets onto its folder, how it leaves.

use super::client::{get, post};
use super::sandbox::{
    ACTIVE, DINGTALK, Folder, HK, MINI, WECHAT, code, dingtalk_token, exchange_body, introspection,
    is_active, signed, stable_token, wechat_token,
};

#[test]
fn what_was_handed_out_is_good_after_a_restart_and_what_was_spent_is_not() {
    let folder = Folder::new();
    let first = folder.start();
    let keys = [(MINI, folder.key("miniprogram")), (HK, folder.key("alipayhk"))];
    let previous = first.ask(&wechat_token(WECHAT)).text("/access_token");
    let current = first.ask(&wechat_token(WECHAT)).text("/access_token");
    let stable = first.ask(&stable_token(WECHAT)).text("/access_token");
    let dingtalk = first.ask(&dingtalk_token(DINGTALK)).text("/accessToken");
    let mut tokens = vec![previous, current, stable.clone(), dingtalk.clone()];
    let mut codes = Vec::new();
    for (id, key) in &keys {
        let code = first.ask(&code(id, ACTIVE)).text("/auth_code");
        let pair = first.ask(&signed(key, id, &exchange_body(&code)));
        tokens.extend([pair.text("/accessToken"), pair.text("/refreshToken")]);
        codes.push((id, key, code));
    }
    let unspent = first.ask(&code(MINI, ACTIVE)).text("/auth_code");
    first.stop();

    let second = folder.start();
    let mut client = second.client();
    for token in &tokens {
        assert!(is_active(&mut client, token));
    }
    assert_eq!(second.ask(&stable_token(WECHAT)).text("/access_token"), stable);
    assert_eq!(second.ask(&dingtalk_token(DINGTALK)).text("/accessToken"), dingtalk);
    for ((id, key, code), used) in codes.iter().zip(["USED_CODE", "INVALID_AUTHCODE"]) {
        let again = second.ask(&signed(key, id, &exchange_body(code)));
        assert_eq!(again.text("/result/resultCode"), used, "{id}");
    }
    let exchanged = second.ask(&signed(&keys[0].1, MINI, &exchange_body(&unspent)));
    assert_eq!(exchanged.text("/result/resultCode"), "SUCCESS");
    second.stop();
}

#[test]
fn a_second_process_on_the_folder_is_told_why_not_and_the_first_goes_on() {
    let folder = Folder::new();
    let first = folder.start();
    let second = folder.start_in_vain();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another") && said.contains(&*folder.data().to_string_lossy()), "{said}");
    assert_eq!(said.trim_end().lines().filter(|line| line.starts_with("mintkeep:")).count(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(first.ask(&wechat_token(WECHAT)).text("/expires_in"), "7200");
    first.stop();
}

#[test]
fn a_sandbox_whose_admin_token_is_empty_does_not_start() {
    let folder = Folder::new();
    folder.start().stop();
    let token = folder.data().join("admin.token");
    std::fs::write(&token, "\n").unwrap();
    let refused = folder.start_in_vain();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("admin.token is empty: remove it"), "{said}");
    std::fs::remove_file(&token).unwrap();
    folder.start().stop();
}

#[test]
fn a_request_that_has_begun_is_answered_after_sigterm_and_the_process_ends_well() {
    let folder = Folder::new();
    let server = folder.start();
    let request = dingtalk_token(DINGTALK);
    let (begun, rest) = request.split_at(request.len() - 10);
    let mut client = server.client();
    client.write(begun.as_bytes()).unwrap();
    // Whoever was answered later has been read later: the first request has arrived.
    let mut idle = server.client();
    assert_eq!(idle.send(&get("/cgi-bin/getcallbackip")).unwrap().status, 200);
    server.tell_to_stop();
    assert!(idle.read().is_err(), "a connection with nothing to do is closed: the server has heard");
    client.write(rest.as_bytes()).unwrap();
    let answer = client.read().unwrap();
    assert_eq!((answer.status, answer.text("/expireIn")), (200, "7200".into()));
    assert_eq!(answer.header("connection"), Some("close"), "{}", answer.head);
    assert!(server.wait().success());

    let token = answer.text("/accessToken");
    let next = folder.start();
    assert!(is_active(&mut next.client(), &token), "it was durable");
    next.stop();
}

/// Source: `protocols/wechat.md`, "The suffix ` rid: …` is the trace id … Make it the request id of our logs".
#[test]
fn the_name_of_a_request_in_its_answer_is_the_one_of_its_line_in_the_log() {
    let folder = Folder::new();
    let server = folder.start();
    let refused = server.ask(&get("/cgi-bin/token?appid=wx9&secret=s&grant_type=client_credential"));
    let message = refused.text("/errmsg");
    let (_, rid) = message.split_once(" rid: ").unwrap();
    let wallet = server.ask(&post("/v1/authorizations/applyToken", "client-id: nobody\r\n", "{}"));
    let tracer = wallet.header("tracer-id").unwrap().to_owned();
    let log_file = folder.data().with_file_name("log");
    server.stop();
    let log = std::fs::read_to_string(log_file).unwrap();
    for (path, id) in [("/cgi-bin/token", rid), ("/v1/authorizations/applyToken", &*tracer)] {
        let line = log.lines().find(|line| line.contains(path) && line.contains(id));
        assert!(line.is_some(), "{id} of {path} is not in the log: {log}");
    }
}

#[test]
fn no_secret_token_or_code_is_logged_whatever_is_asked() {
    let folder = Folder::new();
    let server = folder.start();
    let mini = folder.key("miniprogram");
    let mut planted: Vec<String> = [
        WECHAT.1,
        DINGTALK.1,
        "sandbox-gateway-secret",
        "sandbox-wallet-secret",
        "planted-secret",
        "planted-token",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    planted.push(folder.secret("admin.token"));
    planted.push(folder.secret("master.key"));
    planted.push(folder.secret("sandbox/consumer.key"));

    let wechat = server.ask(&wechat_token(WECHAT)).text("/access_token");
    let code = server.ask(&code(MINI, ACTIVE)).text("/auth_code");
    let pair = server.ask(&signed(&mini, MINI, &exchange_body(&code)));
    let dingtalk = server.ask(&dingtalk_token(DINGTALK)).text("/accessToken");
    for target in [
        format!("/cgi-bin/getcallbackip?access_token={wechat}"),
        "/cgi-bin/getcallbackip?access_token=planted-token".into(),
        "/cgi-bin/token?grant_type=client_credential&appid=wx9&secret=planted-secret".into(),
        "/cgi-bin/token?secret=planted-secret&secret=planted-secret".into(),
        "/gettoken?appkey=a&appsecret=planted-secret".into(),
        "/gettoken/planted?planted-token".into(),
        format!("/nothing/here?token={wechat}"),
    ] {
        server.ask(&get(&target));
    }
    for token in [&wechat, &dingtalk, &pair.text("/accessToken"), &pair.text("/refreshToken"), &code] {
        server.ask(&introspection(token));
    }
    server.ask(&signed(&mini, MINI, &exchange_body(&code)));
    server.ask(&signed(&mini, MINI, &exchange_body("planted-token")));
    server.ask(&dingtalk_token(("planted-secret", "planted-secret")));
    planted.extend([wechat, dingtalk, code, pair.text("/accessToken"), pair.text("/refreshToken")]);
    server.tell_to_stop();
    let log_file = folder.data().with_file_name("log");
    assert!(server.wait().success());

    let log = std::fs::read_to_string(log_file).unwrap();
    assert!(
        log.contains("/cgi-bin/token") && log.contains("applyToken"),
        "each request leaves a line: {log}"
    );
    for secret in &planted {
        assert!(secret.len() > 8 && !log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn the_printed_lines_work_again_after_the_last_of_them_has_moved_the_clock() {
    let folder = Folder::new();
    let mintkeep = folder.start();
    let (_table, lines) = mintkeep.welcome.split_once("pasted into a shell):").unwrap();
    for time in ["first", "second"] {
        let pasted = std::process::Command::new("sh").args(["-c", lines]).output().unwrap();
        let told = String::from_utf8(pasted.stdout).unwrap();
        for answer in [r#""resultCode":"SUCCESS""#, r#""active":true"#, r#""offset_s":"#] {
            assert!(told.contains(answer), "the {time} time: {told}");
        }
    }
}
