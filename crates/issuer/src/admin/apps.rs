//! `/admin/v1/apps`: making, listing, changing and deleting apps.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use ipnet::IpNet;
use mintkeep_protocol::app::{App, AppKey, AppSettings, StoredSecret};
use mintkeep_protocol::crypto::{RsaPrivateKey, RsaPublicKey, hexadecimal};
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::issue::authenticate::{SecretOwner, secret_mac};
use mintkeep_protocol::port::entropy::{Entropy, draw};
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::AuditAction;
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Filter, Named};
use mintkeep_web::listing::{next_of, page_size};
use mintkeep_web::problem::{Problem, unfit};

use super::app_words::{AppChange, AppCreate, AppCreated, AppPage, AppView, Network};
use super::settings::Settings;
use super::{AdminDesk, PageFilter, busy, unavailable};
use crate::issuer::COMMIT_TRIES;

/// Longest name of an app, in characters.
const NAME_CHARS_MAX: usize = 128;
/// Most entries of an allow-list.
const ADDRESSES_MAX: usize = 256;

/// Makes an app. Its secret, or the private key if the pair is drawn here, is shown once.
#[utoipa::path(post, operation_id = "createApp", path = "/admin/v1/apps", tag = "apps", request_body = AppCreate,
    responses((status = 201, body = AppCreated), (status = 409, description = "The id is taken")))]
pub(crate) async fn create(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Asked(asked): Asked<AppCreate>,
) -> Result<(StatusCode, Json<AppCreated>), Problem> {
    check_name(&asked.name)?;
    check_addresses(asked.addresses.len())?;
    let settings = asked.settings.checked()?;
    settings.fit(asked.dialect)?;
    let Settings(settings) = settings;
    let (keys, private) = match (asked.dialect.is_signed(), asked.public_key_pem) {
        (false, None) if asked.key_version.is_none() => (vec![], None),
        (false, _) => {
            return Err(unfit(
                "this dialect has a secret, not keys; leave public_key_pem and key_version out",
            ));
        }
        (true, given) => {
            let (public, private) = key_pair(&desk, given).await?;
            (vec![AppKey { version: asked.key_version.unwrap_or(1), public }], private)
        }
    };
    let issuer = &desk.issuer;
    for _try in 0..COMMIT_TRIES {
        let now = issuer.now();
        let id = asked.id.clone().unwrap_or_else(|| drawn_id(asked.dialect, &*issuer.entropy));
        let mut app = App {
            name: asked.name.clone(),
            keys: keys.clone(),
            addresses: networks(&asked.addresses),
            settings: AppSettings::clone(&settings),
            ..App::new(issuer.new_record(now), id, asked.dialect, now)
        };
        let secret = (!asked.dialect.is_signed()).then(|| drawn_secret(&desk));
        if let Some(secret) = &secret {
            let mac = secret_mac(&issuer.secret_key, SecretOwner::App(app.no), secret);
            app.secrets = vec![StoredSecret { mac, expires_at: None }];
        }
        let audit = desk.audit(AuditAction::AppCreated, &app.id, &arrival);
        let created = AppCreated {
            app: AppView::of(&app, now),
            secret: secret.map(|secret| secret.expose().to_owned()),
            private_key_pem: private.as_ref().map(|key| key.to_pem().to_string()),
            platform_public_key_pem: issuer
                .signer
                .latest(asked.dialect)
                .map(|key| key.private.public().to_pem()),
        };
        let id = app.id.clone();
        match issuer.store.put_app(app, audit).await.map_err(unavailable)? {
            Commit::Done => return Ok((StatusCode::CREATED, Json(created))),
            Commit::Lost if asked.id.is_some() && is_taken(&desk, &id).await? => return Err(id_taken()),
            Commit::Lost => {}
        }
    }
    Err(busy())
}

async fn is_taken(desk: &AdminDesk, id: &AppId) -> Result<bool, Problem> {
    Ok(desk.issuer.store.app(id).await.map_err(unavailable)?.is_some())
}

fn id_taken() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "id-taken",
        "There is an app of this id",
        "choose another id, leave it out to have one drawn, or delete the other app first",
    )
}

/// Lists apps, by id.
#[utoipa::path(get, operation_id = "listApps", path = "/admin/v1/apps", tag = "apps", params(PageFilter<AppId>),
    responses((status = 200, body = AppPage)))]
pub(crate) async fn list(
    State(desk): State<AdminDesk>,
    Filter(filter): Filter<PageFilter<AppId>>,
) -> Result<Json<AppPage>, Problem> {
    let most = page_size(filter.most)?;
    let found = desk.issuer.store.apps(filter.after.as_ref(), most).await.map_err(unavailable)?;
    let now = desk.issuer.now();
    let next = next_of(&found, most).map(|app| app.id.clone());
    Ok(Json(AppPage { apps: found.iter().map(|app| AppView::of(app, now)).collect(), next }))
}

/// Shows an app.
#[utoipa::path(get, operation_id = "showApp", path = "/admin/v1/apps/{id}", tag = "apps", params(("id" = String, Path)),
    responses((status = 200, body = AppView), (status = 404, description = "No such app")))]
pub(crate) async fn show(
    State(desk): State<AdminDesk>,
    Named(id): Named<AppId>,
) -> Result<Json<AppView>, Problem> {
    let app = desk.known_app(&id).await?;
    Ok(Json(AppView::of(&app, desk.issuer.now())))
}

/// Changes an app's name, allow-list or settings.
#[utoipa::path(patch, operation_id = "changeApp", path = "/admin/v1/apps/{id}", tag = "apps", params(("id" = String, Path)),
    request_body = AppChange,
    responses((status = 200, body = AppView), (status = 404, description = "No such app")))]
pub(crate) async fn change(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
    Asked(asked): Asked<AppChange>,
) -> Result<Json<AppView>, Problem> {
    if let Some(name) = &asked.name {
        check_name(name)?;
    }
    check_addresses(asked.addresses.as_ref().map_or(0, Vec::len))?;
    desk.change_app(&id, (AuditAction::AppChanged, &arrival), |app, _now| {
        let settings = Settings(app.settings.clone()).changed(&asked.settings)?;
        settings.fit(app.dialect)?;
        app.settings = settings.0;
        if let Some(name) = &asked.name {
            app.name.clone_from(name);
        }
        if let Some(addresses) = &asked.addresses {
            app.addresses = networks(addresses);
        }
        Ok(())
    })
    .await
    .map(Json)
}

/// Deletes an app with its tokens and grants. An app made anew under its id has other tokens.
#[utoipa::path(delete, operation_id = "deleteApp", path = "/admin/v1/apps/{id}", tag = "apps", params(("id" = String, Path)),
    responses((status = 204), (status = 404, description = "No such app")))]
pub(crate) async fn delete(
    State(desk): State<AdminDesk>,
    arrival: Arrival,
    Named(id): Named<AppId>,
) -> Result<StatusCode, Problem> {
    for _try in 0..COMMIT_TRIES {
        let app = desk.known_app(&id).await?;
        let audit = desk.audit(AuditAction::AppDeleted, &id, &arrival);
        if desk.issuer.store.delete_app(&app, audit).await.map_err(unavailable)? == Commit::Done {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(busy())
}

impl AdminDesk {
    /// Loads an app, has `change` decide, commits; anew if somebody else changed it meanwhile.
    pub(crate) async fn change_app(
        &self,
        id: &AppId,
        (action, arrival): (AuditAction, &Arrival),
        change: impl Fn(&mut App, Timestamp) -> Result<(), Problem> + Send + Sync,
    ) -> Result<AppView, Problem> {
        for _try in 0..COMMIT_TRIES {
            let now = self.issuer.now();
            let mut app = App::clone(&*self.known_app(id).await?);
            change(&mut app, now)?;
            let view = AppView::of(&app, now);
            let audit = self.audit(action, id, arrival);
            if self.issuer.store.put_app(app, audit).await.map_err(unavailable)? == Commit::Done {
                return Ok(view);
            }
        }
        Err(busy())
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fits = name.chars().any(|c| !c.is_whitespace() && !JOINERS.contains(&c))
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.chars().any(|c| c.is_control() || misleads(c));
    if fits {
        Ok(())
    } else {
        let text =
            "name must be 1 to 128 characters, none of them invisible or one that turns the text's direction";
        Err(unfit(text))
    }
}

/// What joins or parts letters in some scripts, and emoji; seen only by what it does to them.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Whether a character of a name would have the authorization page show another name than was typed: it turns the
/// direction of what follows, or has no width. Source: Unicode, `Bidi_Control`.
const fn misleads(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn networks(asked: &[Network]) -> Vec<IpNet> {
    asked.iter().map(|network| network.0).collect()
}

fn check_addresses(count: usize) -> Result<(), Problem> {
    if count <= ADDRESSES_MAX { Ok(()) } else { Err(unfit("addresses must be 256 networks or fewer")) }
}

/// 256 random bits, in hexadecimal as WeChat's own secrets are.
pub(crate) fn drawn_secret(desk: &AdminDesk) -> ClientSecret {
    ClientSecret::new(hexadecimal(&draw::<32>(&*desk.issuer.entropy)))
}

/// The key that was given, or a new pair.
pub(crate) async fn key_pair(
    desk: &AdminDesk,
    given: Option<String>,
) -> Result<(RsaPublicKey, Option<RsaPrivateKey>), Problem> {
    if let Some(pem) = given {
        let public = RsaPublicKey::from_pem(&pem)
            .map_err(|rejected| unfit(format!("public_key_pem is {rejected}")))?;
        return Ok((public, None));
    }
    let drawn = desk.issuer.tasks.spawn_blocking(RsaPrivateKey::generate).await;
    match drawn {
        Ok(Ok(private)) => Ok((private.public().clone(), Some(private))),
        Ok(Err(_)) | Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-key",
            "A key could not be drawn",
            "try again, or give public_key_pem",
        )),
    }
}

/// An id as the dialect's platform would give.
fn drawn_id(dialect: Dialect, entropy: &dyn Entropy) -> AppId {
    let random = hexadecimal(&draw::<8>(entropy));
    let number = u64::from_be_bytes(draw(entropy)) % 10_000_000_000_000_000;
    let text = match dialect {
        Dialect::WeChat => format!("wx{random}"),
        Dialect::DingTalk => format!("ding{random}"),
        Dialect::MiniProgram => format!("MINI{number:016}"),
        Dialect::AlipayHk => format!("ALHK{number:016}"),
    };
    #[expect(clippy::expect_used, reason = "each text above is of 20 letters and digits or fewer")]
    AppId::parse(&text).expect("letters and digits are an id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_looks_like() {
        let longest = "店".repeat(NAME_CHARS_MAX);
        #[rustfmt::skip]
        let cases = [
            ("plain",               "Corner shop",            true),
            ("right to left",       "متجر الزاوية",             true),
            ("joined",              "می\u{200c}خواهم",         true),
            ("a family",            "👨\u{200d}👩\u{200d}👧",   true),
            ("longest",             &longest,                 true),
            ("one longer",          &format!("{longest}店"),  false),
            ("empty",               " ",                      false),
            ("only a joiner",       " \u{200d}",              false),
            ("control",             "a\u{7}b",                false),
            ("turned about",        "\u{202e}knab ruoY",      false),
            ("isolated",            "a\u{2066}b",             false),
            ("marked",              "a\u{200f}b",             false),
            ("without width",       "Your\u{200b}bank",       false),
            ("byte order mark",     "\u{feff}Shop",           false),
        ];
        for (case, name, fits) in cases {
            assert_eq!(check_name(name).is_ok(), fits, "{case}");
        }
    }
}
