//! What browsers get from a server of a configuration: the authorization page, and the console.

use crate::server::{Server, configuration, connect, exchange, get};

#[test]
fn the_authorization_page_sends_to_the_wallet_and_is_framed_as_the_configuration_says() {
    let wallet = "wallet_url = \"https://wallet.example/sign-in?from=us\"\n\
                  frame_origins = [\"https://wallet.example\"]";
    #[rustfmt::skip]
    let cases = [
        (wallet, "location: https://wallet.example/sign-in?from=us&return_to=https%3A%2F%2Ftokens.example.com", "frame-ancestors https://wallet.example"),
        ("",     "HTTP/1.1 401",                                                                               "frame-ancestors 'none'"),
    ];
    for (settings, led, framed) in cases {
        let mut server = Server::start(&configuration(settings, "[drain]\nnotice_s = 0"));
        let [_admin, issuer, _keeper] = server.ready();
        let granted = get(issuer, "/authorize/granted");
        assert!(granted.contains(led), "{granted}");
        let unknown = get(issuer, "/authorize?client_id=nobody&redirect_url=https://a.example/");
        assert!(unknown.contains(framed), "{unknown}");
        server.signal("TERM");
        assert_eq!(server.end().0.code(), Some(0));
    }
}

#[test]
fn the_console_asks_for_the_admin_token_and_the_admin_api_still_for_its_bearer() {
    let mut server = Server::start(&configuration("", "[drain]\nnotice_s = 0"));
    let [admin, issuer, keeper] = server.ready();
    for path in ["/", "/apps", "/credentials"] {
        let page = get(admin, path);
        assert!(page.starts_with("HTTP/1.1 401") && page.contains("Sign in to the console"), "{page}");
    }
    assert!(get(admin, "/console/style.css").starts_with("HTTP/1.1 200"));
    let api = get(admin, "/admin/v1/apps");
    assert!(api.starts_with("HTTP/1.1 401") && api.contains("application/problem+json"), "{api}");
    for outside in [issuer, keeper] {
        assert!(get(outside, "/sign-in").starts_with("HTTP/1.1 404"), "the console is the admin listener's");
    }
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn behind_a_proxy_with_tls_the_consoles_cookie_is_as_the_configuration_says() {
    let form = "token=planted-admin-token-planted-admin-token";
    let request = format!(
        "POST /sign-in HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    for (setting, name) in
        [("public_url = \"https://admin.example.com\"", "__Host-mintkeep-admin="), ("", "mintkeep-admin=")]
    {
        let text = configuration("", "[drain]\nnotice_s = 0").replacen(
            "[admin]\n",
            &format!("[admin]\n{setting}\n"),
            1,
        );
        let mut server = Server::start(&text);
        let [admin, ..] = server.ready();
        let answer = exchange(connect(admin), &request);
        assert!(answer.contains(&format!("set-cookie: {name}")), "{answer}");
        assert_eq!(answer.contains("SameSite=Strict; Secure"), !setting.is_empty(), "{answer}");
        server.signal("TERM");
        assert_eq!(server.end().0.code(), Some(0));
    }
}
