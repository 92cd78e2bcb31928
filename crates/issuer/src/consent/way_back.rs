//! How the answer gets back to the app: in its redirect URL, or as a message to its own page.

use mintkeep_protocol::app::App;

/// Longest redirect URL, in bytes. With the rest it fits into a request line of 8 KiB even when encoded.
pub const REDIRECT_BYTES_MAX: usize = 2_048;

/// Where the answer goes. Both are checked against the app's registered URLs before they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayBack {
    /// The browser is sent to this URL, with the answer in its query.
    Redirect(String),
    /// A page of this origin opened ours, and gets a message (`my.getAuthCode`).
    Message {
        /// Such as `https://shop.example`, and nobody else's page is told.
        origin: String,
    },
    /// The browser is sent to this URI, with the answer of RFC 6749, section 4.1.2, in its query.
    Standard(String),
}

/// How the URL of an app on the customer's own machine begins.
const LOOPBACK: [&str; 3] = ["http://127.0.0.1", "http://[::1]", "http://localhost"];

/// The parameters that only we may put into a redirect URL.
const OURS: [&str; 2] = ["authCode", "authResult"];

impl WayBack {
    /// Whether the app registered it.
    ///
    /// A redirect URL must equal a registered one exactly, its query apart; an origin must be a registered
    /// URL's. Source: AlipayHK, `authCode`: "given in the redirect url as a query parameter".
    ///
    /// The standard's must equal one with its query: "using simple string comparison" (RFC 6749, section 3.1.2.3),
    /// but for the port of a loopback address: an app on the customer's own machine listens where there is room,
    /// and a server "MUST allow any port" (RFC 8252, section 7.3; for `localhost`, RFC 9700, section 2.1).
    #[must_use]
    pub fn is_registered(&self, app: &App) -> bool {
        let registered = || app.settings.redirect_urls.iter().map(|url| without_query(url));
        match self {
            Self::Redirect(url) => is_plain(url) && registered().any(|known| known == without_query(url)),
            Self::Standard(uri) => {
                is_plain(uri) && app.settings.redirect_urls.iter().any(|known| is_same(known, uri))
            }
            Self::Message { origin } => registered().any(|known| origin_of(known) == Some(origin)),
        }
    }

    /// Where a browser carries the answer, if one does.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Redirect(url) | Self::Standard(url) => Some(url),
            Self::Message { .. } => None,
        }
    }

    /// What the parameter with the scopes is called where the answer goes this way.
    pub(super) const fn scopes_name(&self) -> &'static str {
        match self {
            Self::Redirect(_) | Self::Message { .. } => "scopes",
            Self::Standard(_) => "scope",
        }
    }
}

/// Whether it is a web URL of no more than URL characters, without a fragment.
fn is_plain(url: &str) -> bool {
    url.len() <= REDIRECT_BYTES_MAX
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte))
        && (url.starts_with("https://") || url.starts_with("http://"))
}

/// Whether `uri` is `known` letter by letter, but for the port where both are of one loopback host.
fn is_same(known: &str, uri: &str) -> bool {
    let port_apart = without_loopback_port(known);
    known == uri || (port_apart.is_some() && port_apart == without_loopback_port(uri))
}

/// A loopback URL's scheme and host, and what follows its port, if it has one. `None` for any other URL.
fn without_loopback_port(url: &str) -> Option<(&str, &str)> {
    let (host, rest) = LOOPBACK.iter().find_map(|host| url.strip_prefix(host).map(|rest| (*host, rest)))?;
    let (port, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some((host, after))
}

fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

/// The origin of a web URL: scheme, host and port. `None` for other schemes, and for a URL with a user name.
#[must_use]
pub fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let is_host =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let length = scheme.len().checked_add(3)?.checked_add(host.len())?;
    (matches!(scheme, "https" | "http") && is_host).then(|| url.get(..length))?
}

/// `url` with `answer` added to its query; what the query had of the same names is dropped, and whatever
/// poses as an answer of ours.
#[must_use]
pub fn with_answer(url: &str, answer: &[(&str, &str)]) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let is_kept = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        let is_taken = |name: &str| OURS.contains(&name) || answer.iter().any(|(taken, _)| *taken == name);
        !pair.is_empty() && name.is_some_and(|name| !is_taken(&name))
    };
    let mut pairs: Vec<String> = query.split('&').filter(is_kept).map(str::to_owned).collect();
    for (name, value) in answer {
        pairs.push(form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish());
    }
    format!("{base}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::tests::app;

    #[test]
    fn a_redirect_url_is_a_registered_one_exactly_but_for_its_query() {
        let app = app(&["https://shop.example/back", "http://127.0.0.1:9000/a?x=1", "javascript:alert(1)"]);
        let long = format!("https://shop.example/back?{}", "a".repeat(REDIRECT_BYTES_MAX - 26));
        #[rustfmt::skip]
        let cases = [
            ("the same",              "https://shop.example/back",           true),
            ("with a query",          "https://shop.example/back?cart=7",    true),
            ("longest",               &long,                                 true),
            ("a byte longer",         &format!("{long}a"),                   false),
            ("registered with query", "http://127.0.0.1:9000/a",             true),
            ("a slash more",          "https://shop.example/back/",          false),
            ("a folder down",         "https://shop.example/back/x",         false),
            ("prefix",                "https://shop.example/bac",            false),
            ("upper case",            "https://SHOP.example/back",           false),
            ("other scheme",          "http://shop.example/back",            false),
            ("other port",            "https://shop.example:444/back",       false),
            ("dotted path",           "https://shop.example/x/../back",      false),
            ("with a user",           "https://u@shop.example/back",         false),
            ("a fragment",            "https://shop.example/back?a#b",       false),
            ("a line break",          "https://shop.example/back?a\r\nb",    false),
            ("script, though listed", "javascript:alert(1)",                 false),
            ("empty",                 "",                                    false),
        ];
        for (case, url, is_registered) in cases {
            assert_eq!(WayBack::Redirect(url.into()).is_registered(&app), is_registered, "{case}");
        }
    }

    #[test]
    fn a_redirect_uri_of_the_standards_is_a_registered_one_letter_by_letter() {
        let app = app(&["https://shop.example/back", "http://127.0.0.1:9000/a?x=1", "javascript:alert(1)"]);
        #[rustfmt::skip]
        let cases = [
            ("the same",              "https://shop.example/back",        true),
            ("with its own query",    "http://127.0.0.1:9000/a?x=1",      true),
            ("without it",            "http://127.0.0.1:9000/a",          false),
            ("with a query",          "https://shop.example/back?code=1", false),
            ("a slash more",          "https://shop.example/back/",       false),
            ("script, though listed", "javascript:alert(1)",              false),
        ];
        for (case, uri, is_registered) in cases {
            assert_eq!(WayBack::Standard(uri.into()).is_registered(&app), is_registered, "{case}");
        }
    }

    #[test]
    fn a_redirect_uri_of_the_standards_may_have_any_port_of_a_registered_loopback_host() {
        let app = app(&[
            "http://127.0.0.1",
            "http://[::1]:9/a?x=1",
            "http://localhost/a",
            "http://localhost?x=1",
            "https://127.0.0.1/s",
        ]);
        #[rustfmt::skip]
        let cases = [
            ("a port more",            "http://127.0.0.1:38855",           true),
            ("the last port",          "http://127.0.0.1:65535",           true),
            ("no port",                "http://127.0.0.1:65536",           false),
            ("an empty port",          "http://127.0.0.1:",                false),
            ("a signed port",          "http://127.0.0.1:+80",             false),
            ("a path more",            "http://127.0.0.1:38855/",          false),
            ("a longer name",          "http://127.0.0.1.shop.example",    false),
            ("a user name",            "http://127.0.0.1:80@shop.example", false),
            ("a neighbour",            "http://127.0.0.2:80",              false),
            ("another port",           "http://[::1]:10/a?x=1",            true),
            ("a port less",            "http://[::1]/a?x=1",               true),
            ("another query",          "http://[::1]:9/a?x=2",             false),
            ("another name of it",     "http://127.0.0.1:9/a?x=1",         false),
            ("the name",               "http://localhost:3000/a",          true),
            ("a query alone",          "http://localhost:3000?x=1",        true),
            ("the name's longer name", "http://localhost3000/a",           false),
            ("by https",               "https://127.0.0.1:444/s",          false),
        ];
        for (case, uri, is_registered) in cases {
            assert_eq!(WayBack::Standard(uri.into()).is_registered(&app), is_registered, "{case}");
        }
    }

    #[test]
    fn a_message_goes_only_to_the_origin_of_a_registered_url() {
        let app = app(&["https://shop.example/back", "http://127.0.0.1:9000/a?x=1"]);
        #[rustfmt::skip]
        let cases = [
            ("the origin",   "https://shop.example",      true),
            ("with a port",  "http://127.0.0.1:9000",     true),
            ("without it",   "http://127.0.0.1",          false),
            ("a slash more", "https://shop.example/",     false),
            ("all",          "*",                         false),
            ("none",         "null",                      false),
            ("other",        "https://shop.example.evil", false),
        ];
        for (case, origin, is_registered) in cases {
            let way = WayBack::Message { origin: origin.into() };
            assert_eq!(way.is_registered(&app), is_registered, "{case}");
        }
    }

    #[test]
    fn an_answer_is_added_to_the_query_and_takes_the_place_of_its_like() {
        let answer = [("authCode", "C+1"), ("authResult", "SUCCESS")];
        #[rustfmt::skip]
        let cases = [
            ("no query",       "https://a.example/b",                  "https://a.example/b?authCode=C%2B1&authResult=SUCCESS"),
            ("empty query",    "https://a.example/b?",                 "https://a.example/b?authCode=C%2B1&authResult=SUCCESS"),
            ("own query",      "https://a.example/b?x=%20&y",          "https://a.example/b?x=%20&y&authCode=C%2B1&authResult=SUCCESS"),
            ("a forged code",  "https://a.example/b?authCode=E&x=1",   "https://a.example/b?x=1&authCode=C%2B1&authResult=SUCCESS"),
            ("the app's state", "https://a.example/b?state=1",         "https://a.example/b?state=1&authCode=C%2B1&authResult=SUCCESS"),
            ("forged encoded", "https://a.example/b?%61uthResult=E",   "https://a.example/b?authCode=C%2B1&authResult=SUCCESS"),
        ];
        for (case, url, expected) in cases {
            assert_eq!(with_answer(url, &answer), expected, "{case}");
        }
        assert_eq!(
            with_answer("https://a.example/?state=1&x=2", &[("state", "3")]),
            "https://a.example/?x=2&state=3"
        );
        let refusal = [("authResult", "FAIL")];
        assert_eq!(
            with_answer("https://a.example/?authCode=E", &refusal),
            "https://a.example/?authResult=FAIL",
            "a forged code goes from a refusal too"
        );
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_of_a_web_url() {
        #[rustfmt::skip]
        let cases = [
            ("https://a.example/b?c", Some("https://a.example")),
            ("http://[::1]:80",       Some("http://[::1]:80")),
            ("https://u@a.example/",  None),
            ("https:///b",            None),
            ("ftp://a.example/",      None),
            ("data:image/png,x",      None),
            ("https://a;b/",          None),
        ];
        for (url, origin) in cases {
            assert_eq!(origin_of(url), origin, "{url}");
        }
    }
}
