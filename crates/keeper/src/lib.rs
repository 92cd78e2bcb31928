//! The developer's side: the central control server that obtains, renews and hands out tokens.
