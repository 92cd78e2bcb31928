//! HTTP manners that both roles share: limits, request id, deadline, redaction, TLS, problem+json.
//!
//! * What a listener does for every request: [`serve`], within [`limits`], over [`tls`] or plainly. It
//!   tells the handlers of each request's [`arrival`], and takes a [`note`] of what they answered, for the
//!   [`access_log`] and the [`metrics`]. On the way out, [`readiness`] goes first.
//! * What handlers call: [`body`], [`auth`], [`admin_token`], [`asked`], [`problem`], [`throttle`]; for pages
//!   [`browser`] and [`fields`].
//! * Of the admin API, what is there whatever the roles are: [`admin_api`].
//! * The frame of the [`console`]'s pages, whose rooms are the roles'.
//! * The homes of what is banned elsewhere: [`clock`], [`stopwatch`], [`tasks`].

pub mod access_log;
pub mod admin_api;
pub mod admin_token;
pub mod arrival;
pub mod asked;
pub mod auth;
pub mod body;
pub mod browser;
pub mod clock;
pub mod console;
pub mod fields;
pub mod json;
pub mod limits;
pub mod listing;
pub mod metrics;
pub mod note;
pub mod problem;
pub mod readiness;
pub mod serve;
pub mod shortcut;
pub mod stopwatch;
pub mod tasks;
pub mod throttle;
pub mod tls;
