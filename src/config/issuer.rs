//! `[issuer]`: its listener, where it is found, and what its authorization page knows of the wallet.

use http::Uri;
use mintkeep_issuer::consent::ConsentSettings;

use super::listener::{self, ListenerSettings};
use super::reader::Section;
use super::secret::Surroundings;

/// The issuer's settings.
pub struct IssuerSettings {
    /// Its listener.
    pub listener: ListenerSettings,
    /// Where it is found from outside.
    pub public_url: String,
    /// What its authorization page knows of the wallet.
    pub consent: ConsentSettings,
}

/// Reads `[issuer]`.
pub fn read(mut section: Section<'_, '_>, around: &Surroundings<'_>) -> Option<IssuerSettings> {
    let listener = listener::read(&mut section, around);
    let expected = "a URL without a path, such as \"https://tokens.example.com\"";
    let url = section.parsed("public_url", expected, origin);
    let url = section.require("public_url", url, &format!("write public_url = {expected}"));
    if let Some(url) = &url
        && url.value.starts_with("http://")
    {
        let remedy = "write https:// and put TLS in front of it, or here";
        section.notes().warning(url.line, "`issuer.public_url` sends tokens over plain HTTP", remedy);
    }
    let consent = read_consent(&mut section);
    section.finish();
    Some(IssuerSettings { listener: listener?, public_url: url?.value, consent: consent? })
}

/// Reads what the authorization page knows of the wallet.
fn read_consent(section: &mut Section<'_, '_>) -> Option<ConsentSettings> {
    let expected =
        "the wallet's page that signs customers in, such as \"https://wallet.example.com/sign-in\"";
    let wallet_url = section.parsed("wallet_url", expected, web_page);
    let mut frame_origins = Vec::new();
    let mut is_good = true;
    for named in section.texts("frame_origins") {
        if let Some(origin) = frame_origin(&named.value) {
            frame_origins.push(origin);
        } else {
            let what = format!("`issuer.frame_origins` can't hold {:?}", named.value);
            let remedy = "write scheme and host of the page around, such as \"https://wallet.example.com\"; \
                          over plain HTTP a browser keeps no session within a frame";
            section.notes().mistake(named.line, what, remedy);
            is_good = false;
        }
    }
    is_good.then(|| ConsentSettings { frame_origins, wallet_url: wallet_url.map(|url| url.value) })
}

/// A URL of scheme and authority alone, as it is compared and put before paths.
pub fn origin(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
    let is_bare = uri.path() == "/" && uri.query().is_none() && !text.ends_with('/');
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    (is_web && is_bare && !has_user).then(|| text.to_owned())
}

/// An origin that a policy may name: TLS, and nothing in it that would begin another rule of the policy.
fn frame_origin(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://")?;
    let is_host = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    origin(text).filter(|_| is_host)
}

/// A web page's URL that takes further parameters: no fragment, nobody's name.
fn web_page(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    (is_web && !has_user && !text.contains('#')).then(|| text.to_owned())
}
