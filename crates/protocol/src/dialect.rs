//! The four wire formats: bytes in, words out, and back.
//!
//! Each dialect has a module of its own with the same four functions: `decode_request` and
//! `encode_response` for the issuer (and for the keeper's drop-in endpoints), `encode_request` and
//! `decode_response` for the keeper as a client of the platform.

pub mod alipay;
pub mod alipayhk;
pub mod answer;
pub mod dingtalk;
pub mod json;
pub mod miniprogram;
pub mod query;
pub mod wechat;

#[cfg(test)]
mod in_short;
#[cfg(test)]
mod vector;

use crate::app::{App, Behaviour};
use crate::request::RequestId;
use crate::time::Timestamp;

/// What an answer is made of besides its outcome.
#[derive(Clone, Copy)]
pub struct AnswerContext<'a> {
    /// The path that was asked, which decides the answer's shape.
    pub path: &'a str,
    /// When the answer is made.
    pub now: Timestamp,
    /// The request's name.
    pub request_id: RequestId,
    /// The app, where it is known: its settings shape the answer.
    pub app: Option<&'a App>,
    /// What a fault rule of the sandbox has in place of the app's own profile.
    pub profile: Option<Behaviour>,
}
