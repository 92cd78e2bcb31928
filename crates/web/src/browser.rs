//! What pages for browsers have in common: cookies, whose form it is, and the headers of every answer.

use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, COOKIE, HOST, HeaderName, LOCATION, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The value of a cookie.
#[must_use]
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// Whether a form was sent from a page of ours. `public_origin`: where we are found from outside, if that
/// is known.
///
/// A browser says where a form comes from in `Sec-Fetch-Site`, or at least in `Origin`. Who sends neither is
/// no browser that could be led astray, and still needs what the form carries and the cookie.
#[must_use]
pub fn is_own_form(headers: &HeaderMap, public_origin: Option<&str>) -> bool {
    const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin.to_str().is_ok_and(|origin| {
        Some(origin) == public_origin
            || origin.split_once("://").map(|(_, origin_host)| origin_host) == host && host.is_some()
    })
}

/// "Go there, and ask for it by GET."
#[must_use]
pub fn see_other(url: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(url) else {
        return guarded(StatusCode::BAD_REQUEST.into_response());
    };
    let mut response = guarded(StatusCode::SEE_OTHER.into_response());
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The headers of every answer of a page: kept nowhere, taken for nothing else, told to nobody.
#[must_use]
pub fn guarded(mut response: Response) -> Response {
    const GUARDS: [(HeaderName, &str); 3] = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not "no-referrer": a browser then hides its origin from our own forms.
        (REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in GUARDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "xs=1; s=2".parse().unwrap());
        headers.append(COOKIE, "t=3=4".parse().unwrap());
        assert_eq!((cookie(&headers, "s"), cookie(&headers, "t")), (Some("2"), Some("3=4")));
        assert_eq!(cookie(&headers, "x"), None);
    }

    #[test]
    fn a_form_is_ours_if_the_browser_says_so_or_no_browser_speaks() {
        type Lines = &'static [(&'static str, &'static str)];
        #[rustfmt::skip]
        let cases: [(&str, Lines, bool); 9] = [
            ("no browser",             &[],                                                              true),
            ("our page",               &[("sec-fetch-site", "same-origin")],                             true),
            ("another port",           &[("sec-fetch-site", "same-site")],                               false),
            ("another site",           &[("sec-fetch-site", "cross-site"), ("origin", "https://a.example")], false),
            ("typed by hand",          &[("sec-fetch-site", "none")],                                    false),
            ("older browser, outside", &[("origin", "https://a.example"), ("host", "10.0.0.1")],         true),
            ("older browser, direct",  &[("origin", "http://10.0.0.1:80"), ("host", "10.0.0.1:80")],     true),
            ("older browser, strange", &[("origin", "http://10.0.0.1:81"), ("host", "10.0.0.1:80")],     false),
            ("a sandboxed frame",      &[("origin", "null"), ("host", "10.0.0.1:80")],                   false),
        ];
        for (case, lines, is_ours) in cases {
            let headers = lines.iter().map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
            });
            assert_eq!(is_own_form(&headers.collect(), Some("https://a.example")), is_ours, "{case}");
        }
    }
}
