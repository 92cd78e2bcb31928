//! `/admin/v1/keeper/credentials`: what the keeper proves apps by.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use mintkeep_protocol::app::AppKey;
use mintkeep_protocol::crypto::{RsaPrivateKey, RsaPublicKey};
use mintkeep_protocol::ident::{AppId, CredentialName, Dialect};
use mintkeep_protocol::keep::credential::{CredentialSettings, TokenSource};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::asked::{Asked, Filter, Named};
use mintkeep_web::listing::{next_of, page_size};
use mintkeep_web::problem::{Problem, unfit};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::slots::TokenLine;
use super::{KeeperDesk, by, problem_of};
use crate::admin::{NewCredential, NewProof};
use crate::keeper::Keeper;
use crate::roster::Account;

/// A new credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialAdd {
    /// What the keeper's callers call it.
    #[schema(value_type = String, example = "wechat-shop")]
    name: CredentialName,
    /// `wechat`, `dingtalk`, `miniprogram` or `alipayhk`.
    #[schema(value_type = String, example = "wechat")]
    dialect: Dialect,
    /// WeChat only: whether its tokens come from `/cgi-bin/token` rather than from `/cgi-bin/stable_token`.
    #[serde(default)]
    legacy: bool,
    /// What the platform calls the app.
    #[schema(value_type = String, example = "wx5f1c9a7e2b3d4c60")]
    app_id: AppId,
    /// Where the platform is; left out: where its page says.
    #[schema(example = "https://api.weixin.qq.com")]
    base_url: Option<String>,
    /// What it proves the app by.
    proof: ProofGiven,
    /// What differs from the defaults.
    #[serde(default)]
    #[schema(value_type = Option<CredentialSettingsWords>)]
    settings: CredentialSettings,
}

/// What a credential proves its app by. A secret, or for the signed dialects keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofGiven {
    /// WeChat's `secret`, DingTalk's `appSecret`.
    secret: Option<String>,
    /// Our private key: PKCS#8, as a `PRIVATE KEY` PEM block.
    private_key_pem: Option<String>,
    /// The private key's `keyVersion` at the platform; left out: 1.
    key_version: Option<u32>,
    /// The key that the platform's answers are signed with: a `PUBLIC KEY` PEM block.
    platform_public_key_pem: Option<String>,
    /// The platform key's `keyVersion`; left out: 1.
    platform_key_version: Option<u32>,
}

/// What differs from the defaults; what is left out is the dialect's default.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes how `CredentialSettings` is written")]
pub(crate) struct CredentialSettingsWords {
    /// How long the platform takes a byte-identical signed request again, in seconds; 0: never.
    identical_retry_s: Option<u32>,
    /// How long before its end a token is renewed, in seconds.
    renew_ahead_s: Option<u32>,
    /// Calls of the token endpoint a day; 0: without end.
    daily_limit: Option<u32>,
    /// How many of them only an emergency may use.
    daily_reserve: Option<u32>,
    /// Whether messages are encrypted (AlipayHK `RSA_AES`).
    #[schema(required = false)]
    encrypts: bool,
}

/// A credential. Never its secret or its private key.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialView {
    /// What the keeper's callers call it.
    #[schema(value_type = String)]
    name: CredentialName,
    /// Which protocol its platform speaks.
    #[schema(value_type = String)]
    dialect: Dialect,
    /// Which endpoint its tokens come from, such as `we_chat_stable`.
    #[schema(value_type = String)]
    source: TokenSource,
    /// What the platform calls the app.
    #[schema(value_type = String)]
    app_id: AppId,
    /// Where the platform is.
    base_url: String,
    /// What differs from the defaults.
    #[schema(value_type = CredentialSettingsWords)]
    settings: CredentialSettings,
    /// When it was added.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// Its own token; `null` where tokens are its customers', or before the first was asked for.
    token: Option<TokenLine>,
}

/// Which credentials to tell.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CredentialFilter {
    /// Only those after this name.
    #[param(value_type = Option<String>)]
    after: Option<CredentialName>,
    /// How many at most, 1 to 1000; left out: 100.
    most: Option<u32>,
}

/// Some credentials.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialPage {
    /// By name.
    credentials: Vec<CredentialView>,
    /// What to give as `after` for the next page; `null`: this is the last one.
    #[schema(value_type = Option<String>)]
    next: Option<CredentialName>,
}

impl CredentialView {
    fn of(account: &Account, keeper: &Keeper) -> Self {
        let credential = &account.credential;
        let leaf = keeper.leaf(account, None);
        Self {
            name: credential.name.clone(),
            dialect: credential.source.dialect(),
            source: credential.source,
            app_id: credential.app.clone(),
            base_url: credential.base_url.clone(),
            settings: credential.settings.clone(),
            created_at: credential.created_at,
            token: leaf.map(|leaf| TokenLine::of_leaf(&credential.name, &leaf, keeper)),
        }
    }
}

/// Adds a credential; an app's own token is fetched at once.
#[utoipa::path(post, operation_id = "addCredential", path = "/admin/v1/keeper/credentials", tag = "keeper",
    request_body = CredentialAdd,
    responses((status = 201, body = CredentialView), (status = 409, description = "The name is taken")))]
pub(super) async fn add(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
    Asked(asked): Asked<CredentialAdd>,
) -> Result<(StatusCode, Json<CredentialView>), Problem> {
    let new = asked.read()?;
    let account = desk.keeper.add_credential(new, &by(&arrival)).await.map_err(|f| problem_of(&f))?;
    Ok((StatusCode::CREATED, Json(CredentialView::of(&account, &desk.keeper))))
}

/// Lists credentials, by name.
#[utoipa::path(get, operation_id = "listCredentials", path = "/admin/v1/keeper/credentials", tag = "keeper", params(CredentialFilter),
    responses((status = 200, body = CredentialPage)))]
pub(super) async fn list(
    State(desk): State<KeeperDesk>,
    Filter(filter): Filter<CredentialFilter>,
) -> Result<Json<CredentialPage>, Problem> {
    let most = page_size(filter.most)?;
    let found = desk.keeper.roster.accounts_after(filter.after.as_ref(), most);
    let next = next_of(&found, most).map(|account| account.credential.name.clone());
    let views = found.iter().map(|account| CredentialView::of(account, &desk.keeper));
    Ok(Json(CredentialPage { credentials: views.collect(), next }))
}

/// Shows a credential.
#[utoipa::path(get, operation_id = "showCredential", path = "/admin/v1/keeper/credentials/{name}", tag = "keeper",
    params(("name" = String, Path)),
    responses((status = 200, body = CredentialView), (status = 404, description = "No such credential")))]
pub(super) async fn show(
    State(desk): State<KeeperDesk>,
    Named(name): Named<CredentialName>,
) -> Result<Json<CredentialView>, Problem> {
    Ok(Json(CredentialView::of(&*desk.account(&name)?, &desk.keeper)))
}

/// Removes a credential with all tokens that are held for it.
#[utoipa::path(delete, operation_id = "removeCredential", path = "/admin/v1/keeper/credentials/{name}", tag = "keeper",
    params(("name" = String, Path)),
    responses((status = 204), (status = 404, description = "No such credential")))]
pub(super) async fn remove(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
    Named(name): Named<CredentialName>,
) -> Result<StatusCode, Problem> {
    desk.account(&name)?;
    desk.keeper.remove_credential(&name, &by(&arrival)).await.map_err(|f| problem_of(&f))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a credential another secret or key, and asks for a token with it at once.
#[utoipa::path(put, operation_id = "changeCredentialProof", path = "/admin/v1/keeper/credentials/{name}/proof", tag = "keeper",
    params(("name" = String, Path)), request_body = ProofGiven,
    responses((status = 204), (status = 404, description = "No such credential")))]
pub(super) async fn change_proof(
    State(desk): State<KeeperDesk>,
    arrival: Arrival,
    Named(name): Named<CredentialName>,
    Asked(asked): Asked<ProofGiven>,
) -> Result<StatusCode, Problem> {
    let dialect = desk.account(&name)?.credential.source.dialect();
    let proof = asked.read(dialect)?;
    desk.keeper.change_proof(&name, &proof, &by(&arrival)).await.map_err(|f| problem_of(&f))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a platform is that has one address for all.
const fn public_base_url(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::WeChat => Some("https://api.weixin.qq.com"),
        Dialect::DingTalk => Some("https://api.dingtalk.io"),
        Dialect::MiniProgram | Dialect::AlipayHk => None,
    }
}

impl CredentialAdd {
    /// What is to be added.
    pub(crate) fn read(self) -> Result<NewCredential, Problem> {
        let source = match (self.dialect, self.legacy) {
            (Dialect::WeChat, true) => TokenSource::WeChatToken,
            (Dialect::DingTalk | Dialect::MiniProgram | Dialect::AlipayHk, true) => {
                return Err(unfit("only WeChat has a legacy endpoint; leave legacy out"));
            }
            (dialect, false) => TokenSource::default_of(dialect),
        };
        let base_url = match (self.base_url, public_base_url(self.dialect)) {
            (Some(given), _) => given,
            (None, Some(known)) => known.to_owned(),
            (None, None) => return Err(unfit("base_url is needed: each wallet has a gateway of its own")),
        };
        Ok(NewCredential {
            name: self.name,
            source,
            app: self.app_id,
            base_url,
            proof: self.proof.read(self.dialect)?,
            settings: self.settings,
        })
    }
}

impl ProofGiven {
    fn read(self, dialect: Dialect) -> Result<NewProof, Problem> {
        let has_versions = self.key_version.is_some() || self.platform_key_version.is_some();
        match (dialect.is_signed(), self.secret, self.private_key_pem, self.platform_public_key_pem) {
            (false, Some(secret), None, None) if !has_versions && is_secret(&secret) => {
                Ok(NewProof::Secret(ClientSecret::new(secret)))
            }
            (false, ..) => Err(unfit("this dialect needs secret, 1 to 256 visible characters, and no keys")),
            (true, None, Some(private), Some(platform)) => {
                let private = RsaPrivateKey::from_pem(&private)
                    .map_err(|rejected| unfit(format!("private_key_pem is {rejected}")))?;
                let public = RsaPublicKey::from_pem(&platform)
                    .map_err(|rejected| unfit(format!("platform_public_key_pem is {rejected}")))?;
                let version = self.platform_key_version.unwrap_or(1);
                Ok(NewProof::Key {
                    private,
                    version: self.key_version.unwrap_or(1),
                    platform: AppKey { version, public },
                })
            }
            (true, ..) => {
                Err(unfit("this dialect needs private_key_pem and platform_public_key_pem, and no secret"))
            }
        }
    }
}

/// Longest secret that is taken, in bytes.
const SECRET_BYTES_MAX: usize = 256;

fn is_secret(text: &str) -> bool {
    (1..=SECRET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
