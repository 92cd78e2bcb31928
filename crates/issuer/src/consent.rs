//! The authorization page: who asks a customer for what, their answer, and the code that comes of it.
//!
//! `GET /authorize` learns from the wallet's signed [`assertion`] who the customer is, keeps it in a sealed
//! [`session`] and shows the question; `POST /authorize` takes the answer. It goes back to a URL that the app
//! registered, or as a message to a page of its own that runs `/my.js`. `GET /authorize/granted` shows a
//! customer what they granted and lets them end it.
//!
//! Nothing is stored but the code and that an assertion was spent: the session and the form's ticket are sealed
//! and carried by the browser, and the ticket's number is the number of the grant to be, so that one page can
//! become one code only.

mod answer;
mod asking;
pub mod assertion;
mod assets;
mod fault;
mod granted;
mod page;
pub mod sandbox_wallet;
mod session;
mod sign_in;
mod way_back;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::issuer::Issuer;

use session::Seals;

/// What a platform says of its wallet's pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentSettings {
    /// The origins that may show the page in a frame, such as `https://wallet.example`; none: nobody may.
    pub frame_origins: Vec<String>,
    /// Where a browser without an assertion is sent to get one. The wallet finds the page to come back to
    /// in the parameter `return_to`, and adds `assertion` to its query.
    pub wallet_url: Option<String>,
}

/// What the pages work on.
#[derive(Clone)]
struct Desk(Arc<Room>);

struct Room {
    issuer: Arc<Issuer>,
    settings: ConsentSettings,
    seals: Seals,
}

impl Desk {
    /// Whether browsers reach us by TLS.
    fn is_secure(&self) -> bool {
        self.0.issuer.public_url.starts_with("https://")
    }
}

/// The routes of the authorization page, for the issuer's listener.
pub fn router(issuer: Arc<Issuer>, settings: ConsentSettings) -> Router {
    let seals = Seals::new(&issuer.secret_key);
    let desk = Desk(Arc::new(Room { issuer, settings, seals }));
    Router::new()
        .route("/authorize", get(answer::show).post(answer::take))
        .route("/authorize/granted", get(granted::show).post(granted::end))
        .with_state(desk)
        .merge(assets::router())
}

#[cfg(test)]
mod tests {
    use mintkeep_protocol::app::{App, AppSettings};
    use mintkeep_protocol::ident::{AppId, Dialect, RecordId};
    use mintkeep_protocol::time::Timestamp;

    /// An app that registered these redirect URLs.
    pub(in crate::consent) fn app(redirect_urls: &[&str]) -> App {
        let redirect_urls = redirect_urls.iter().map(|url| (*url).to_owned()).collect();
        let settings = AppSettings { redirect_urls, ..AppSettings::default() };
        let (no, id) = (RecordId::from_number(1), AppId::parse("MINI1").unwrap());
        let made = App::new(no, id, Dialect::MiniProgram, Timestamp::default());
        App { name: "Shop".into(), settings, ..made }
    }
}
