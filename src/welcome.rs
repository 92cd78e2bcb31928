//! What `mintkeep dev` prints: the sandbox, and lines that work when pasted.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mintkeep_protocol::ident::Dialect;

use crate::sandbox::{APPS, CUSTOMER_ACTIVE, CUSTOMER_FROZEN, GATEWAY};
use crate::sandbox_keys;

/// What the text is about.
pub struct Welcome {
    /// The data folder.
    pub data: PathBuf,
    /// The issuer's address.
    pub issuer: SocketAddr,
    /// The keeper's address.
    pub keeper: SocketAddr,
    /// The admin listener's address.
    pub admin: SocketAddr,
}

/// Prints the welcome.
pub fn print(welcome: &Welcome, clock_ahead: Duration) {
    let mut text = table(welcome);
    if !clock_ahead.is_zero() {
        let _ = writeln!(
            text,
            "The clock is {} s ahead: `mintkeep clock reset` sets it back.\n",
            clock_ahead.as_secs()
        );
    }
    text.push_str(&lines(welcome));
    // Whoever closed our output does not want to read it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn table(welcome: &Welcome) -> String {
    let Welcome { data, issuer, keeper, admin } = welcome;
    let mut text = format!(
        "Mintkeep sandbox\n  issuer  http://{issuer}\n  keeper  http://{keeper}\n  admin   http://{admin}\n  data    {}\n\n",
        data.display()
    );
    let _ = writeln!(text, "  {:<12} {:<22} {:<22} secret or keys", "dialect", "app", "the keeper's app");
    for app in &APPS {
        let secret = app
            .secret
            .map_or_else(|| sandbox_keys::folder(data, app.dialect).display().to_string(), ToOwned::to_owned);
        let _ = writeln!(text, "  {:<12} {:<22} {:<22} {secret}", app.dialect.name(), app.id, app.keeper_id);
    }
    let (gateway, gateway_secret) = GATEWAY;
    let _ = writeln!(text, "  customers    {CUSTOMER_ACTIVE} (active), {CUSTOMER_FROZEN} (frozen)");
    let _ = writeln!(text, "  in a browser http://{issuer}/sandbox/shop (demo mini program)");
    let _ = writeln!(
        text,
        "               http://{admin}/ (console; sign in with {}/admin.token)",
        data.display()
    );
    let _ = writeln!(text, "  gateway      {gateway} {gateway_secret} (may introspect)\n");
    text
}

fn lines(welcome: &Welcome) -> String {
    let Welcome { data, issuer, keeper, admin } = welcome;
    let data = data.display();
    let keys = sandbox_keys::folder(&welcome.data, Dialect::MiniProgram);
    let keys = keys.display();
    format!(
        r#"Try it (each line works when pasted into a shell):

# a WeChat token, and a call that takes it
TOKEN=$(curl -s 'http://{issuer}/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=sandbox-wechat-secret' | sed 's/.*"access_token":"\([^"]*\)".*/\1/'); echo "$TOKEN"
curl -s "http://{issuer}/cgi-bin/getcallbackip?access_token=$TOKEN"; echo

# a DingTalk token: the same again, good for longer
curl -s 'http://{issuer}/v1.0/oauth2/accessToken' -H 'Content-Type: application/json' -d '{{"appKey":"dingsandbox0000001","appSecret":"sandbox-dingtalk-secret"}}'; echo

# a customer's code, traded for a Mini Program token set by a signed request
CODE=$(curl -s http://{admin}/admin/v1/codes -H "Authorization: Bearer $(cat '{data}/admin.token')" -H 'Content-Type: application/json' -d '{{"client_id":"MINI0000000000000001","customer_id":"{CUSTOMER_ACTIVE}","scopes":["auth_user"]}}' | sed 's/.*"auth_code":"\([^"]*\)".*/\1/'); echo "$CODE"
TIME=$(curl -s http://{admin}/admin/v1/sandbox/clock -H "Authorization: Bearer $(cat '{data}/admin.token')" | sed 's/.*"now":\([0-9]*\).*/\1/'); BODY='{{"grantType":"AUTHORIZATION_CODE","authCode":"'$CODE'"}}'
SIGN=$(printf 'POST /v1/authorizations/applyToken\nMINI0000000000000001.%s.%s' "$TIME" "$BODY" | openssl dgst -sha256 -sign '{keys}/app_private.pem' | openssl base64 -A)
curl -s http://{issuer}/v1/authorizations/applyToken -H 'Content-Type: application/json; charset=UTF-8' -H 'Client-Id: MINI0000000000000001' -H "Request-Time: $TIME" -H "Signature: algorithm=RSA256, keyVersion=1, signature=$SIGN" -d "$BODY"; echo

# what the keeper holds, ready for a company's other servers
curl -s http://{keeper}/v1/tokens/wechat-sandbox -H "Authorization: Bearer $(cat '{data}/sandbox/consumer.key')"; echo

# is a token good?
curl -s http://{issuer}/oauth2/introspect -u gateway-sandbox:sandbox-gateway-secret -d "token=$TOKEN"; echo

# make every lifetime pass: two hours in a moment
curl -s http://{admin}/admin/v1/sandbox/clock -H "Authorization: Bearer $(cat '{data}/admin.token')" -H 'Content-Type: application/json' -d '{{"advance_s":7200}}'; echo

Ctrl-C stops it.
"#
    )
}
