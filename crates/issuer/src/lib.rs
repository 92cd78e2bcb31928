//! The platform's side: the authorization server that mints tokens in four dialects.
