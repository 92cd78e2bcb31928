//! Secrets that can't be printed, compared in variable time, or serialised by accident.

use zeroize::Zeroizing;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It has no `Debug`, `Display`, `Serialize` or `PartialEq`; [`Self::expose`] is the one way
        /// to its text, and memory is wiped when it is dropped.
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes over `text`.
            #[must_use]
            pub fn new(text: String) -> Self {
                Self(Zeroizing::new(text))
            }

            /// The text itself, for the wire or for a digest. Never for a log, an error or a URL of ours.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }
    };
}

secret! {
    /// A client's shared secret: WeChat `secret`, DingTalk `appSecret`.
    ClientSecret
}
secret! {
    /// What a client shows to use the platform.
    AccessToken
}
secret! {
    /// What a client trades for the next access token.
    RefreshToken
}
secret! {
    /// What a client trades, once, for its first token set.
    AuthCode
}
