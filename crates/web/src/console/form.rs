//! A form: empty at first; after it was refused with what was typed, and with what is wrong beside its field.

use askama::Template;
use http::StatusCode;

use super::visit::{Visit, words_of};
use crate::problem::Problem;

/// What a page's form shows.
pub struct Form<'v> {
    visit: &'v Visit,
    refused: Option<Refused>,
}

struct Refused {
    status: StatusCode,
    /// What is wrong, for people.
    text: String,
    /// With which field; `None`: it can't be told.
    field: Option<&'static str>,
}

/// What is wrong with a field, beside it.
#[derive(Template)]
#[template(path = "console/flaw.html")]
struct Flaw<'p> {
    field: &'p str,
    text: &'p str,
}

impl<'v> Form<'v> {
    /// A form that nobody has filled in yet.
    #[must_use]
    pub const fn new(visit: &'v Visit) -> Self {
        Self { visit, refused: None }
    }

    /// The form that `visit` sent, as it was typed, and why it was refused. Of its `fields` come first those that a
    /// problem names only if it is about them.
    #[must_use]
    pub fn refused(visit: &'v Visit, problem: &Problem, fields: &[&'static str]) -> Self {
        let (status, text) = (problem.status, words_of(problem));
        let text = if text.is_empty() { format!("{}.", problem.title) } else { text };
        let field = field_of(problem, fields);
        Self { visit, refused: Some(Refused { status, text, field }) }
    }

    /// What every form must carry in `form_token`.
    #[must_use]
    pub fn token(&self) -> &str {
        self.visit.form_token()
    }

    /// What the page is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.refused.as_ref().map_or(StatusCode::OK, |refused| refused.status)
    }

    /// What was typed into a field. Not for secrets: those are typed anew.
    #[must_use]
    pub fn typed(&self, name: &str) -> &str {
        self.refused.as_ref().and_then(|_| self.visit.field(name)).unwrap_or_default()
    }

    /// Whether a choice is made: as it was in the form that was refused, or `at_first`.
    #[must_use]
    pub fn is_chosen(&self, name: &str, value: &str, at_first: bool) -> bool {
        if self.refused.is_some() { self.visit.field(name) == Some(value) } else { at_first }
    }

    /// What is wrong with the form as a whole.
    #[must_use]
    pub fn flaw(&self) -> Option<&str> {
        self.refused.as_ref().filter(|refused| refused.field.is_none()).map(|refused| refused.text.as_str())
    }

    /// The attributes of a field, with the id of what else describes it: if it is the one that is wrong, it says so
    /// to a screen reader and has the focus.
    #[must_use]
    pub fn marks(&self, name: &str, described_by: &str) -> String {
        let flaw = if self.flaw_of(name).is_some() { format!("{name}-flaw") } else { String::new() };
        let ids = [flaw.as_str(), described_by].into_iter().filter(|id| !id.is_empty());
        let ids = ids.collect::<Vec<_>>().join(" ");
        let described = if ids.is_empty() { String::new() } else { format!(" aria-describedby=\"{ids}\"") };
        let marked = if flaw.is_empty() { "" } else { " aria-invalid=\"true\" autofocus" };
        format!("{described}{marked}")
    }

    /// What is wrong with a field, as HTML; nothing if nothing is.
    #[must_use]
    pub fn beside(&self, name: &str) -> String {
        let flaw = self.flaw_of(name).map(|text| Flaw { field: name, text });
        flaw.and_then(|flaw| flaw.render().ok()).unwrap_or_default()
    }

    fn flaw_of(&self, name: &str) -> Option<&str> {
        self.refused
            .as_ref()
            .filter(|refused| refused.field == Some(name))
            .map(|refused| refused.text.as_str())
    }
}

/// The field that a problem is about: what its kind says is taken, or the first of the form's that its text names.
fn field_of(problem: &Problem, fields: &[&'static str]) -> Option<&'static str> {
    let taken = problem.kind.strip_suffix("-taken").unwrap_or_default();
    let is_named = |field: &str| {
        problem.detail.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == field)
    };
    let is_taken = fields.iter().find(|field| **field == taken);
    is_taken.or_else(|| fields.iter().find(|field| is_named(field))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_beside_the_field_that_it_is_about() {
        let fields = ["redirect_urls", "id", "name"];
        #[rustfmt::skip]
        let cases = [
            ("unfit",    "name must be 1 to 128 characters",       Some("name")),
            ("unfit",    "redirect_urls: must be absolute, name",  Some("redirect_urls")),
            ("id-taken", "choose another name",                    Some("id")),
            ("unfit",    "renamed idle",                           None),
            ("busy",     "",                                       None),
        ];
        for (kind, detail, field) in cases {
            let problem = Problem::new(StatusCode::BAD_REQUEST, kind, "No", detail);
            assert_eq!(field_of(&problem, &fields), field, "{kind}, {detail}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_field_stays_text() {
        let html = Flaw { field: "name", text: "<script>" }.render().unwrap();
        assert!(html.contains("id=\"name-flaw\"") && !html.contains("<script"), "{html}");
    }
}
