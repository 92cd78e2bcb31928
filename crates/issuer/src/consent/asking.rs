//! What an app asks a customer for, as it stands in the page's URL and again in its form.

use std::sync::Arc;

use mintkeep_protocol::app::{App, AppStatus};
use mintkeep_protocol::binding::Challenge;
use mintkeep_protocol::ident::{AppId, Scope};
use mintkeep_web::fields::Fields;

use super::fault::Fault;
use super::way_back::WayBack;

/// How many scopes may be asked for at once.
const SCOPES_MAX: usize = 16;

/// Longest `state`, in bytes.
const STATE_BYTES_MAX: usize = 512;

/// What is asked for, well-formed and not more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// Who asks.
    pub client_id: AppId,
    /// For what, each once, in the order asked; empty if there is a fault, and only then.
    pub scopes: Vec<Scope>,
    /// Where the answer goes.
    pub way: WayBack,
    /// The app's own; comes back with the answer.
    pub state: Option<String>,
    /// What the app's verifier has to meet, in the standard's form.
    pub challenge: Option<Challenge>,
    /// What is wrong with it, in the standard's form.
    pub fault: Option<Fault>,
}

/// Why no page is shown and nobody is sent anywhere: it can't be told whose page this should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskingRefused {
    /// A parameter is missing, comes twice, or is malformed.
    #[error("a parameter of the authorization request is missing, comes twice, or is malformed")]
    Malformed,
    /// No such app.
    #[error("client_id is no app")]
    ClientUnknown,
    /// The app may not act.
    #[error("the app is disabled")]
    ClientDisabled,
    /// The app did not register this URL, or this origin.
    #[error("the redirect URL is not one that the app registered, or origin is not the origin of one")]
    WayUnknown,
}

impl Asking {
    /// Reads `client_id`, `scopes` (by commas or spaces; `auth_base` if absent), `state`, and either
    /// `redirect_url` or `origin`; or the standard's `response_type=code`, `redirect_uri`, `scope` and
    /// `code_challenge` instead.
    ///
    /// Source of those: RFC 6749, section 4.1.1; RFC 7636, section 4.3. That `redirect_uri` is always needed is
    /// ours. What is wrong beside `client_id` and `redirect_uri` is kept there as [`Self::fault`], for the client
    /// (RFC 6749, section 4.1.2.1).
    ///
    /// # Errors
    ///
    /// [`AskingRefused::Malformed`].
    pub fn read(fields: &Fields) -> Result<Self, AskingRefused> {
        let client_id = fields.get("client_id").and_then(|id| AppId::parse(id).ok());
        let client_id = client_id.ok_or(AskingRefused::Malformed)?;
        let way = match (fields.get("redirect_url"), fields.get("origin"), fields.get("redirect_uri")) {
            (Some(url), None, None) => WayBack::Redirect(url.to_owned()),
            (None, Some(origin), None) => WayBack::Message { origin: origin.to_owned() },
            (None, None, Some(uri)) => WayBack::Standard(uri.to_owned()),
            _ => return Err(AskingRefused::Malformed),
        };
        let ((scopes, challenge), fault) = match (wish_of(fields, &way), &way) {
            (Ok(wish), _) => (wish, None),
            (Err(fault), WayBack::Standard(_)) => ((Vec::new(), None), Some(fault)),
            (Err(_), WayBack::Redirect(_) | WayBack::Message { .. }) => return Err(AskingRefused::Malformed),
        };
        let state = fields.get("state").map(str::to_owned);
        Ok(Self { client_id, scopes, way, state, challenge, fault })
    }

    /// The fields that say the same again, for a form or a link.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let scopes = (self.way.scopes_name(), self.scope_list());
        let mut fields = vec![("client_id", self.client_id.to_string()), scopes];
        match &self.way {
            WayBack::Redirect(url) => fields.push(("redirect_url", url.clone())),
            WayBack::Message { origin } => fields.push(("origin", origin.clone())),
            WayBack::Standard(uri) => {
                fields.extend([("response_type", "code".to_owned()), ("redirect_uri", uri.clone())]);
            }
        }
        fields.extend(self.state.iter().map(|state| ("state", state.clone())));
        if let Some(challenge) = self.challenge {
            fields.push(("code_challenge", challenge.to_text()));
            fields.push(("code_challenge_method", "S256".to_owned()));
        }
        fields
    }

    /// The same as a query.
    #[must_use]
    pub fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.fields()).finish()
    }

    fn scope_list(&self) -> String {
        self.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(",")
    }
}

/// The scopes that are asked for, each once, and the challenge, if nothing is wrong with what goes this way.
fn wish_of(fields: &Fields, way: &WayBack) -> Result<(Vec<Scope>, Option<Challenge>), Fault> {
    if fields.has_twice() {
        return Err(Fault::ParameterTwice);
    }
    let challenge = match (way, fields.get("response_type")) {
        (WayBack::Redirect(_) | WayBack::Message { .. }, _) => None,
        (WayBack::Standard(_), Some("code")) => challenge_of(fields)?,
        (WayBack::Standard(_), Some(_)) => return Err(Fault::ResponseTypeUnsupported),
        (WayBack::Standard(_), None) => return Err(Fault::ResponseTypeMissing),
    };
    if fields.get("state").is_some_and(|state| state.len() > STATE_BYTES_MAX) {
        return Err(Fault::StateTooLong);
    }
    let mut scopes = Vec::new();
    let asked = fields.get(way.scopes_name()).unwrap_or("auth_base");
    for name in asked.split([',', ' ']).filter(|name| !name.is_empty()) {
        let scope = Scope::parse(name).map_err(|_| Fault::ScopeMalformed)?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let is_bounded = (1..=SCOPES_MAX).contains(&scopes.len());
    if is_bounded { Ok((scopes, challenge)) } else { Err(Fault::ScopeMalformed) }
}

/// The challenge, if there is one. Source: RFC 7636, sections 4.3 and 4.4.1.
fn challenge_of(fields: &Fields) -> Result<Option<Challenge>, Fault> {
    match (fields.get("code_challenge"), fields.get("code_challenge_method")) {
        (None, None) => Ok(None),
        (Some(text), Some("S256")) => Challenge::parse(text).map(Some).ok_or(Fault::ChallengeMalformed),
        (Some(_), Some(_) | None) => Err(Fault::ChallengeMethodUnsupported),
        (None, Some(_)) => Err(Fault::ChallengeMalformed),
    }
}

/// What is asked for, by an app that we know, with a way back that it registered.
pub struct KnownAsking {
    /// Who asks.
    pub app: Arc<App>,
    /// What.
    pub asking: Asking,
    /// The scopes that the app may ask for.
    pub allowed: Vec<Scope>,
    /// The scopes that it may not.
    pub denied: Vec<Scope>,
}

impl KnownAsking {
    /// Decides whether `app` may have its answer sent where it says.
    ///
    /// # Errors
    ///
    /// [`AskingRefused::ClientUnknown`], [`AskingRefused::WayUnknown`], [`AskingRefused::ClientDisabled`].
    pub fn check(app: Option<Arc<App>>, asking: Asking) -> Result<Self, AskingRefused> {
        let app = app.ok_or(AskingRefused::ClientUnknown)?;
        if !asking.way.is_registered(&app) {
            return Err(AskingRefused::WayUnknown);
        }
        if app.status == AppStatus::Disabled {
            return Err(AskingRefused::ClientDisabled);
        }
        let (allowed, denied) = asking.scopes.iter().cloned().partition(|scope| app.may_ask(scope));
        Ok(Self { app, asking, allowed, denied })
    }

    /// Whether any good can come of the question. A redirect tells one result, so all must be allowed; a
    /// message tells of each scope, so one is enough.
    #[must_use]
    pub fn can_be_granted(&self) -> bool {
        match self.asking.way {
            WayBack::Redirect(_) | WayBack::Standard(_) => self.fault().is_none(),
            WayBack::Message { .. } => !self.allowed.is_empty(),
        }
    }

    /// What is wrong with it, told in the standard's words where the way back has them.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let is_unmeetable = self.asking.challenge.is_some() && self.app.dialect.is_signed();
        let unmeetable = is_unmeetable.then_some(Fault::ChallengeUnmeetable);
        let denied = (!self.denied.is_empty()).then_some(Fault::ScopeDenied);
        self.asking.fault.or(unmeetable).or(denied)
    }

    /// Whether the customer need not be asked.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.allowed.iter().all(|scope| self.app.is_silent(scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::tests::app;

    /// RFC 7636, appendix B.
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn read(query: &str) -> Result<Asking, AskingRefused> {
        Asking::read(&Fields::parse_all(query.as_bytes()))
    }

    #[test]
    fn an_asking_is_read_whole_or_not_at_all() {
        let state = |length: usize| format!("client_id=A&redirect_url=u&state={}", "s".repeat(length));
        let scopes = |count: usize| {
            let list: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
            format!("client_id=A&redirect_url=u&scopes={}", list.join(","))
        };
        #[rustfmt::skip]
        let cases = [
            ("least",            "client_id=A&redirect_url=u".to_owned(),                   true),
            ("to an origin",     "client_id=A&origin=u".to_owned(),                         true),
            ("no way back",      "client_id=A".to_owned(),                                  false),
            ("two ways back",    "client_id=A&origin=u&redirect_url=u".to_owned(),          false),
            ("the standard's",   "client_id=A&redirect_uri=u&response_type=code".to_owned(), true),
            ("both writings",    "client_id=A&redirect_uri=u&redirect_url=u&response_type=code".to_owned(), false),
            ("no client",        "redirect_url=u".to_owned(),                               false),
            ("client malformed", "client_id=A%20B&redirect_url=u".to_owned(),               false),
            ("client twice",     "client_id=A&client_id=A&redirect_url=u".to_owned(),       false),
            ("scope malformed",  "client_id=A&redirect_url=u&scopes=a%3Cb".to_owned(),      false),
            ("only commas",      "client_id=A&redirect_url=u&scopes=,".to_owned(),          false),
            ("most scopes",      scopes(SCOPES_MAX),                                        true),
            ("a scope more",     scopes(SCOPES_MAX + 1),                                    false),
            ("longest state",    state(STATE_BYTES_MAX),                                    true),
            ("a byte longer",    state(STATE_BYTES_MAX + 1),                                false),
            ("anything twice",   "client_id=A&redirect_url=u&x=1&x=2".to_owned(),           false),
        ];
        for (case, query, is_read) in cases {
            assert_eq!(read(&query).is_ok(), is_read, "{case}");
        }
    }

    /// Source: RFC 6749, sections 3.1 and 4.1.2.1.
    #[test]
    fn what_is_wrong_in_the_standards_form_is_kept_for_the_client_if_it_can_be_told() {
        use Fault::{
            ChallengeMalformed, ChallengeMethodUnsupported, ParameterTwice, ResponseTypeMissing,
            ResponseTypeUnsupported, ScopeMalformed, StateTooLong,
        };
        let challenge = |rest: &str| format!("response_type=code&code_challenge={CHALLENGE}{rest}");
        let state = |length: usize| format!("response_type=code&state={}", "s".repeat(length));
        let scopes = |count: usize| {
            let list: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
            format!("response_type=code&scope={}", list.join("+"))
        };
        #[rustfmt::skip]
        let cases = [
            ("nothing",             "response_type=code".to_owned(),                Ok(None)),
            ("no response type",    "scope=a".to_owned(),                           Ok(Some(ResponseTypeMissing))),
            ("an empty one",        "response_type=".to_owned(),                    Ok(Some(ResponseTypeMissing))),
            ("another one",         "response_type=token".to_owned(),               Ok(Some(ResponseTypeUnsupported))),
            ("one more",            "response_type=code+id_token".to_owned(),       Ok(Some(ResponseTypeUnsupported))),
            ("it comes twice",      "response_type=code&response_type=code".to_owned(), Ok(Some(ParameterTwice))),
            ("a scope twice",       "response_type=code&scope=a&scope=b".to_owned(), Ok(Some(ParameterTwice))),
            ("longest state",       state(STATE_BYTES_MAX),                         Ok(None)),
            ("a byte longer",       state(STATE_BYTES_MAX + 1),                     Ok(Some(StateTooLong))),
            ("most scopes",         scopes(SCOPES_MAX),                             Ok(None)),
            ("a scope more",        scopes(SCOPES_MAX + 1),                         Ok(Some(ScopeMalformed))),
            ("only spaces",         "response_type=code&scope=+".to_owned(),        Ok(Some(ScopeMalformed))),
            ("scope malformed",     "response_type=code&scope=a%3Cb".to_owned(),    Ok(Some(ScopeMalformed))),
            ("a challenge",         challenge("&code_challenge_method=S256"),       Ok(None)),
            ("without its method",  challenge(""),                                  Ok(Some(ChallengeMethodUnsupported))),
            ("the plain one",       challenge("&code_challenge_method=plain"),      Ok(Some(ChallengeMethodUnsupported))),
            ("in small letters",    challenge("&code_challenge_method=s256"),       Ok(Some(ChallengeMethodUnsupported))),
            ("a letter more",       challenge("A&code_challenge_method=S256"),      Ok(Some(ChallengeMalformed))),
            ("a method alone",      "response_type=code&code_challenge_method=S256".to_owned(), Ok(Some(ChallengeMalformed))),
            ("two challenges",      challenge("&code_challenge_method=S256&code_challenge=a"), Ok(Some(ParameterTwice))),
            ("the client twice",    "response_type=code&client_id=A".to_owned(),    Err(AskingRefused::Malformed)),
            ("the URI twice",       "response_type=code&redirect_uri=u".to_owned(), Err(AskingRefused::Malformed)),
        ];
        for (case, rest, expected) in cases {
            let read = read(&format!("client_id=A&redirect_uri=u&{rest}"));
            assert_eq!(read.map(|asking| asking.fault), expected, "{case}");
        }
    }

    #[test]
    fn an_asking_comes_back_from_its_own_fields() {
        let asked =
            read("client_id=A&redirect_url=https%3A%2F%2Fa.example%2F%3Fx%3D1&scopes=b+a,b&state=%26")
                .unwrap();
        assert_eq!(asked.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(read(&asked.query()).unwrap(), asked);
        let standard =
            read("client_id=A&redirect_uri=https%3A%2F%2Fa.example&scope=b+a&response_type=code&state=s")
                .unwrap();
        assert_eq!(standard.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(read(&standard.query()).unwrap(), standard);
        let rest = format!("code_challenge={CHALLENGE}&code_challenge_method=S256");
        let challenged = read(&format!("client_id=A&redirect_uri=u&response_type=code&{rest}")).unwrap();
        assert_eq!(challenged.challenge, Challenge::parse(CHALLENGE));
        assert_eq!(read(&challenged.query()).unwrap(), challenged);
        assert_eq!(read(&format!("client_id=A&redirect_url=u&{rest}")).unwrap().challenge, None);
        assert_eq!(read("client_id=A&origin=o").unwrap().scopes.first().unwrap().as_str(), "auth_base");
    }

    #[test]
    fn nobody_is_sent_where_the_app_did_not_say() {
        let known = Arc::new(app(&["https://shop.example/back"]));
        let disabled = Arc::new(App { status: AppStatus::Disabled, ..App::clone(&known) });
        let (good, bad) = ("https://shop.example/back?x", "https://shop.example/other");
        #[rustfmt::skip]
        let cases = [
            ("usual",              Some(&known),    good, None),
            ("unknown app",        None,            good, Some(AskingRefused::ClientUnknown)),
            ("unknown URL",        Some(&known),    bad,  Some(AskingRefused::WayUnknown)),
            ("disabled",           Some(&disabled), good, Some(AskingRefused::ClientDisabled)),
            ("disabled, bad URL",  Some(&disabled), bad,  Some(AskingRefused::WayUnknown)),
        ];
        for (case, app, url, refused) in cases {
            let asking = read(&format!("client_id=A&redirect_url={url}")).unwrap();
            assert_eq!(KnownAsking::check(app.cloned(), asking).err(), refused, "{case}");
        }
    }

    #[test]
    fn scopes_are_parted_by_what_the_app_may_ask_and_only_silent_ones_show_no_page() {
        let known = Arc::new(app(&["https://shop.example/back"]));
        let check = |scopes: &str| {
            let asking =
                read(&format!("client_id=A&redirect_url=https://shop.example/back&scopes={scopes}")).unwrap();
            KnownAsking::check(Some(Arc::clone(&known)), asking).unwrap()
        };
        let both = check("auth_user,AUTH_USER,auth_base");
        assert_eq!((both.allowed.len(), both.denied.len(), both.is_silent()), (2, 1, false));
        assert!(check("auth_base").is_silent());
    }
}
