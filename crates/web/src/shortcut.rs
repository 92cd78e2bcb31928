//! The way past the router, for the few endpoints that are asked thousands of times a second.
//!
//! A router boxes each request's body, its handler and its future, and copies itself. Where the answer itself
//! is a matter of microseconds, that is felt.

use std::future::Future;
use std::pin::Pin;

use http::{Method, Uri};

use crate::arrival::Arrival;
use crate::note::Noted;
use crate::serve::Arriving;

/// A request as it comes off the wire, its body unread.
pub type Request = http::Request<Arriving>;

/// An answer in the making.
pub type Answering = Pin<Box<dyn Future<Output = Noted> + Send>>;

/// Answers some endpoints with the very handlers that the listener's router has for them.
pub trait Shortcut: Send + Sync {
    /// Whether the request goes this way. The router answers the others.
    fn takes(&self, method: &Method, uri: &Uri) -> bool;

    /// Answers a request that it takes. Its arrival is told here, and not put into its extensions.
    fn answer(&self, request: Request, arrival: Arrival) -> Answering;
}
