//! What an app's settings may be: one table for the limits and for the API's description.

use std::borrow::Cow;

use mintkeep_protocol::app::AppSettings;
use mintkeep_protocol::ident::Dialect;
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// An app's settings as the API writes them. What is left out or `null` is the dialect's default.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Settings(pub AppSettings);

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

/// What a setting's value looks like.
#[derive(Clone, Copy)]
enum Shape {
    /// A whole number, both ends included.
    Whole(i64, i64),
    Flag,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A path that begins with `/`.
    PathPrefix,
    /// An absolute URL.
    Url,
    /// Absolute URLs.
    Urls,
    /// Names of scopes.
    Scopes,
}

/// Longest URL or path, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Most entries of a list.
const ENTRIES_MAX: usize = 64;
const DAY_S: i64 = 86_400;
const WHOLE_MAX: i64 = 4_294_967_295;

/// Every setting, with its shape and what it is for.
#[rustfmt::skip]
const SETTINGS: [(&str, Shape, &str); 18] = [
    ("access_lifetime_s",      Shape::Whole(1, 366 * DAY_S),   "how long an access token is good, in seconds"),
    ("refresh_lifetime_s",     Shape::Whole(1, 3_660 * DAY_S), "how long a refresh token is good, in seconds"),
    ("code_lifetime_s",        Shape::Whole(1, DAY_S),         "how long a code can be exchanged, in seconds"),
    ("overlap_s",              Shape::Whole(0, DAY_S),         "how long a new token's predecessor stays good, in seconds"),
    ("daily_quota",            Shape::Whole(0, WHOLE_MAX),     "calls for an app's own token a day, WeChat and DingTalk; 0: without end"),
    ("minute_limit",           Shape::Whole(0, WHOLE_MAX),     "calls of any endpoint a minute; 0: without end"),
    ("profile",                Shape::OneOf(&["page", "observed"]), "as the page says, or as the live platform does"),
    ("request_time_window_s",  Shape::Whole(0, DAY_S),         "how far a signed request's time may be off, in seconds; 0: not checked"),
    ("identical_retry_s",      Shape::Whole(0, DAY_S),         "how long an identical signed request gets the identical answer, in seconds"),
    ("replay_revokes_after_s", Shape::Whole(0, WHOLE_MAX),     "from when a replayed code revokes its grant, in seconds; 4294967295: never"),
    ("signature_encoding",     Shape::OneOf(&["percent_base64", "base64", "base64_url"]), "how answers' signatures are written"),
    ("time_offset_min",        Shape::Whole(-840, 840),        "the offset of the times in answers, in minutes east of UTC"),
    ("public_path_prefix",     Shape::PathPrefix,              "what a proxy cuts off the path before it comes here"),
    ("refuses_refresh",        Shape::Flag,                    "whether refresh tokens are refused"),
    ("scopes",                 Shape::Scopes,                  "the scopes it may ask for; empty: auth_base and auth_user"),
    ("silent_scopes",          Shape::Scopes,                  "the scopes for which no page is shown"),
    ("redirect_urls",          Shape::Urls,                    "where a browser may be sent back to"),
    ("logo_url",               Shape::Url,                     "the logo on the authorization page"),
];

impl Settings {
    /// These settings with `changes` written over them: `null` is the default again (RFC 7396).
    pub(crate) fn changed(&self, changes: &Map<String, Value>) -> Result<Self, Problem> {
        let mut document = self.document();
        for (name, value) in changes {
            if !SETTINGS.iter().any(|(known, _, _)| known == name) {
                return Err(unfit(format!("there is no such setting; the settings are {}", names())));
            }
            if value.is_null() {
                document.remove(name);
            } else {
                document.insert(name.clone(), value.clone());
            }
        }
        // What the parser says is not told on: it quotes what it was given.
        let Ok(merged) = serde_json::from_value::<Self>(Value::Object(document.clone())) else {
            return Err(first_misfit(&document).unwrap_or_else(|| unfit("a setting does not fit")));
        };
        merged.checked()
    }

    /// Whether an app of `dialect` can have these settings.
    pub(crate) fn fit(&self, dialect: Dialect) -> Result<(), Problem> {
        if dialect.is_signed() && self.0.daily_quota.is_some() {
            return Err(unfit(
                "daily_quota counts an app's own tokens, which this dialect has none of; leave it null and set minute_limit",
            ));
        }
        Ok(())
    }

    /// These settings, if each fits.
    pub(crate) fn checked(self) -> Result<Self, Problem> {
        match first_misfit(&self.document()) {
            Some(problem) => Err(problem),
            None => Ok(self),
        }
    }

    /// The settings that differ from "not set".
    fn document(&self) -> Map<String, Value> {
        let unset = fields_of(&AppSettings::default());
        fields_of(&self.0).into_iter().filter(|(name, value)| unset.get(name) != Some(value)).collect()
    }
}

/// Settings always serialise, to an object.
fn fields_of(settings: &AppSettings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn names() -> String {
    SETTINGS.map(|(name, _, _)| name).join(", ")
}

/// What is wrong with the first setting that does not fit.
fn first_misfit(document: &Map<String, Value>) -> Option<Problem> {
    SETTINGS.iter().find_map(|(name, shape, _)| {
        let value = document.get(*name)?;
        let wanted = shape.misfit(value)?;
        Some(unfit(format!("{name} must be {wanted}")))
    })
}

impl Shape {
    /// What the value must be, if it isn't that.
    fn misfit(self, value: &Value) -> Option<String> {
        let (fits, wanted) = match self {
            Self::Whole(least, most) => (
                value.as_i64().is_some_and(|number| (least..=most).contains(&number)),
                format!("a whole number from {least} to {most}"),
            ),
            Self::Flag => (value.is_boolean(), "true or false".to_owned()),
            Self::OneOf(words) => (
                value.as_str().is_some_and(|word| words.contains(&word)),
                format!("one of {}", words.join(", ")),
            ),
            Self::PathPrefix => (
                value.as_str().is_some_and(is_path_prefix),
                "a path that begins with / and does not end with it".to_owned(),
            ),
            Self::Url => (value.as_str().is_some_and(is_url), URL_WANTED.to_owned()),
            Self::Urls => (is_list(value, is_url), format!("at most {ENTRIES_MAX} of: {URL_WANTED}")),
            Self::Scopes => (
                is_list(value, |scope| mintkeep_protocol::ident::Scope::parse(scope).is_ok()),
                format!("at most {ENTRIES_MAX} names of scopes, A-Z a-z 0-9 . _ - :"),
            ),
        };
        (!fits).then_some(wanted)
    }

    fn schema(self, description: &str) -> Schema {
        let object = |r#type| ObjectBuilder::new().schema_type(r#type).description(Some(description));
        let texts = |format: Option<&str>| {
            let item = ObjectBuilder::new()
                .schema_type(Type::String)
                .format(format.map(|name| SchemaFormat::Custom(name.to_owned())));
            ArrayBuilder::new()
                .items(item)
                .max_items(Some(ENTRIES_MAX))
                .description(Some(description))
                .build()
        };
        match self {
            Self::Whole(least, most) => {
                let (least, most) = (utoipa::Number::Int(bound(least)), utoipa::Number::Int(bound(most)));
                object(Type::Integer).minimum(Some(least)).maximum(Some(most)).into()
            }
            Self::Flag => object(Type::Boolean).into(),
            Self::OneOf(words) => object(Type::String).enum_values(Some(words.iter().copied())).into(),
            Self::PathPrefix => object(Type::String).pattern(Some("^/.*[^/]$")).into(),
            Self::Url => object(Type::String).format(Some(SchemaFormat::Custom("uri".to_owned()))).into(),
            Self::Urls => texts(Some("uri")).into(),
            Self::Scopes => texts(None).into(),
        }
    }
}

/// Every bound of the table fits; the conversion only has to be told so.
fn bound(number: i64) -> isize {
    isize::try_from(number).unwrap_or(isize::MAX)
}

const URL_WANTED: &str =
    "an https URL (or http to localhost) of printable characters, without # and not longer than 2048 bytes";

fn is_url(text: &str) -> bool {
    let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
    let host_is_local = local.iter().any(|local| {
        text.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
    });
    let is_https = text
        .strip_prefix("https://")
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['));
    (is_https || host_is_local)
        && text.len() <= URL_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte))
}

fn is_path_prefix(text: &str) -> bool {
    text.len() <= URL_BYTES_MAX
        && text.starts_with('/')
        && !text.ends_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
}

fn is_list(value: &Value, fits: impl Fn(&str) -> bool) -> bool {
    value.as_array().is_some_and(|entries| {
        entries.len() <= ENTRIES_MAX && entries.iter().all(|entry| entry.as_str().is_some_and(&fits))
    })
}

impl PartialSchema for Settings {
    fn schema() -> RefOr<Schema> {
        let empty = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("What differs from the dialect's defaults."))
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        let all = SETTINGS.iter().fold(empty, |object, (name, shape, description)| {
            object.property(*name, shape.schema(description))
        });
        RefOr::T(all.into())
    }
}

impl ToSchema for Settings {
    fn name() -> Cow<'static, str> {
        "AppSettings".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_every_setting_once() {
        let Value::Object(all) = serde_json::to_value(AppSettings::default()).unwrap() else { panic!() };
        let mut table: Vec<&str> = SETTINGS.iter().map(|(name, _, _)| *name).collect();
        table.sort_unstable();
        let mut fields: Vec<&str> = all.keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(table, fields);
    }

    #[test]
    fn a_setting_outside_of_its_bounds_is_refused_and_its_name_told() {
        #[rustfmt::skip]
        let cases = [
            ("access_lifetime_s",  json!(1),                        true),
            ("access_lifetime_s",  json!(0),                        false),
            ("access_lifetime_s",  json!(366 * 86_400),             true),
            ("access_lifetime_s",  json!(366 * 86_400 + 1),         false),
            ("access_lifetime_s",  json!(1.5),                      false),
            ("access_lifetime_s",  json!("7200"),                   false),
            ("daily_quota",        json!(4_294_967_295_u64),        true),
            ("daily_quota",        json!(4_294_967_296_u64),        false),
            ("time_offset_min",    json!(-840),                     true),
            ("time_offset_min",    json!(-841),                     false),
            ("profile",            json!("observed"),               true),
            ("profile",            json!("live"),                   false),
            ("refuses_refresh",    json!(1),                        false),
            ("public_path_prefix", json!("/wallet"),                true),
            ("public_path_prefix", json!("wallet"),                 false),
            ("public_path_prefix", json!("/wallet/"),               false),
            ("public_path_prefix", json!("/wallet?x"),              false),
            ("scopes",             json!(["auth_base"]),            true),
            ("scopes",             json!(["auth base"]),            false),
            ("scopes",             json!("auth_base"),              false),
            ("scopes",             json!(vec!["a"; 64]),            true),
            ("scopes",             json!(vec!["a"; 65]),            false),
            ("redirect_urls",      json!(["https://shop.example/back?x=1"]), true),
            ("redirect_urls",      json!(["http://shop.example/back"]), false),
            ("redirect_urls",      json!(["http://localhost:3000/back"]), true),
            ("redirect_urls",      json!(["http://localhost.evil.example/"]), false),
            ("redirect_urls",      json!(["https://shop.example/#part"]), false),
            ("redirect_urls",      json!(["https://shop.example/a b"]), false),
            ("redirect_urls",      json!(["javascript:alert(1)"]),  false),
            ("redirect_urls",      json!(["https:///nowhere"]),     false),
            ("logo_url",           json!("https://shop.example/logo.svg"), true),
            ("logo_url",           json!(format!("https://{}", "a".repeat(2_040))), true),
            ("logo_url",           json!(format!("https://{}", "a".repeat(2_041))), false),
            ("logo_url",           json!("data:image/svg+xml,x"),   false),
            ("no_such_setting",    json!(1),                        false),
        ];
        for (name, value, fits) in cases {
            let change = Map::from_iter([(name.to_owned(), value.clone())]);
            let changed = Settings::default().changed(&change);
            assert_eq!(changed.is_ok(), fits, "{name} {value}");
            if let Err(problem) = changed {
                assert!(problem.detail.contains(name) || name == "no_such_setting", "{}", problem.detail);
            }
        }
    }

    #[test]
    fn a_setting_that_is_null_is_the_default_again_and_the_others_stay() {
        let settings = Settings(AppSettings {
            access_lifetime_s: Some(60),
            daily_quota: Some(5),
            ..AppSettings::default()
        });
        let change = Map::from_iter([("daily_quota".to_owned(), Value::Null)]);
        let changed = settings.changed(&change).ok().unwrap();
        assert_eq!((changed.0.access_lifetime_s, changed.0.daily_quota), (Some(60), None));
    }
}
