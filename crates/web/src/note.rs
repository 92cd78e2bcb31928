//! What a handler tells the listener of its answer.

use axum::response::{IntoResponse, Response};

/// Which endpoint answered and with what code of its dialect, for the access log and the metrics.
///
/// Put it into the response's extensions. Both parts are ours, never the caller's, so that the number of
/// metrics stays bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AnswerNote {
    /// The endpoint, such as `wechat`.
    pub endpoint: &'static str,
    /// What came of it, such as `granted` or `code_used`.
    pub code: &'static str,
}

impl AnswerNote {
    /// Puts the note onto `response`.
    #[must_use]
    pub fn on(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// An answer with its note beside it, for those that are asked for so often that extensions are felt.
#[derive(Debug)]
pub struct Noted {
    /// The answer.
    pub response: Response,
    /// What is said of it.
    pub note: Option<AnswerNote>,
}

impl From<Response> for Noted {
    fn from(response: Response) -> Self {
        let note = response.extensions().get().copied();
        Self { response, note }
    }
}

impl IntoResponse for Noted {
    fn into_response(self) -> Response {
        match self.note {
            Some(note) => note.on(self.response),
            None => self.response,
        }
    }
}

/// In a response's extensions: close the connection without a byte of an answer.
#[derive(Debug, Clone, Copy)]
pub struct DropConnection;

/// No answer: the connection is closed. By a fault rule of the sandbox, or because an answer can't be signed now.
#[must_use]
pub fn no_answer<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    response.extensions_mut().insert(DropConnection);
    response
}
