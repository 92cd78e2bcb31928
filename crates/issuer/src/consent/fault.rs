//! What can be wrong with a request in the standard's words once its client and its redirect URI are good.

/// Told to the client, at that URI. The mini programs' own form has no words for these: it shows the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A parameter comes twice (RFC 6749, section 3.1).
    ParameterTwice,
    /// No `response_type`.
    ResponseTypeMissing,
    /// Another than `code`.
    ResponseTypeUnsupported,
    /// `state` is longer than it may be.
    StateTooLong,
    /// `scope` has no scopes in it, too many, or what can't be one.
    ScopeMalformed,
    /// The app may not ask for one of the scopes.
    ScopeDenied,
    /// `code_challenge` is missing beside its method, or is no SHA-256 in base64url.
    ChallengeMalformed,
    /// Another `code_challenge_method` than `S256`, or none, which is `plain` (RFC 7636, section 4.3).
    ChallengeMethodUnsupported,
    /// The app exchanges its codes where no verifier can be shown.
    ChallengeUnmeetable,
}

impl Fault {
    /// `error` and `error_description`, whose characters are those that the standard has for it.
    ///
    /// Source: RFC 6749, section 4.1.2.1; RFC 7636, section 4.4.1.
    #[must_use]
    pub const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::ParameterTwice => ("invalid_request", "send each parameter once"),
            Self::ResponseTypeMissing => ("invalid_request", "send response_type=code"),
            Self::ResponseTypeUnsupported => ("unsupported_response_type", "send response_type=code"),
            Self::StateTooLong => ("invalid_request", "send a state of at most 512 bytes"),
            Self::ScopeMalformed => ("invalid_scope", "send a scope of 1 to 16 names, parted by spaces"),
            Self::ScopeDenied => ("invalid_scope", "ask for the scopes that this client may ask for"),
            Self::ChallengeMalformed => {
                ("invalid_request", "send the code_challenge of the method S256, 43 characters of base64url")
            }
            Self::ChallengeMethodUnsupported => {
                ("invalid_request", "transform algorithm not supported: send code_challenge_method=S256")
            }
            Self::ChallengeUnmeetable => {
                ("invalid_request", "leave out code_challenge: applyToken takes no code_verifier")
            }
        }
    }
}
