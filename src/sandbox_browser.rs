//! The browser's part of the sandbox: the stand-in wallet, and the demo mini program.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use mintkeep_issuer::consent::sandbox_wallet::{self, SandboxWallet};
use mintkeep_issuer::consent::{self, ConsentSettings};
use mintkeep_issuer::issuer::Issuer;
use mintkeep_protocol::app::App;
use mintkeep_protocol::ident::{AppId, CustomerId, Dialect, ServiceId};
use mintkeep_protocol::port::issuer_store::Commit;
use mintkeep_protocol::record::{AuditAction, Service};
use mintkeep_web::arrival::Arrival;

use crate::folder::read_text;
use crate::sandbox::{APPS, CUSTOMER_ACTIVE, CUSTOMER_FROZEN, WALLET};
use crate::sandbox_keys;
use crate::sandbox_shop::{self, Merchant, Signer};

/// The pages that the issuer's listener has for browsers in a sandbox. The demo's merchant asks `keeper`.
pub async fn pages(issuer: &Arc<Issuer>, keeper: Router, data: &Path) -> Result<Router> {
    let wallet = wallet(issuer, data).await?;
    for app in APPS.iter().filter(|app| app.dialect.is_signed()) {
        for id in [app.id, app.keeper_id] {
            register(issuer, id).await?;
        }
    }
    let wallet_url = Some(format!("{}/sandbox/wallet", issuer.public_url));
    let settings = ConsentSettings { wallet_url, ..ConsentSettings::default() };
    let key = read_text(&data.join("sandbox").join("consumer.key"))?.unwrap_or_default();
    let merchant = Merchant {
        keeper,
        authorization: format!("Bearer {}", key.trim()),
        signer: Arc::new(signer(issuer, data)?),
    };
    Ok(consent::router(Arc::clone(issuer), settings)
        .merge(sandbox_wallet::router(Arc::clone(issuer), wallet))
        .merge(sandbox_shop::router(merchant)))
}

/// What the demo's merchant calls the platform with: the keys of the app that its keeper holds tokens for.
fn signer(issuer: &Arc<Issuer>, data: &Path) -> Result<Signer> {
    let app = APPS.iter().find(|app| app.dialect == Dialect::MiniProgram);
    let app = app.context("the sandbox has no mini program")?;
    Ok(Signer {
        platform: mintkeep_issuer::routes::router(Arc::clone(issuer), None),
        issuer: Arc::clone(issuer),
        app: AppId::parse(app.keeper_id)?,
        key: sandbox_keys::read(&sandbox_keys::app_private(data, Dialect::MiniProgram))?,
    })
}

/// The wallet with its key.
async fn wallet(issuer: &Issuer, data: &Path) -> Result<SandboxWallet> {
    let key = sandbox_keys::read(&sandbox_keys::wallet_private(data))?;
    let id = ServiceId::parse(WALLET.0)?;
    let service = issuer.store.service(&id).await?.context("the sandbox's wallet is not seeded")?;
    let assertion_key_pem = Some(key.public().to_pem());
    if service.assertion_key_pem != assertion_key_pem {
        let audit = issuer.audit("sandbox", AuditAction::ServicePut, &id, &Arrival::UNKNOWN);
        issuer.store.put_service(Service { assertion_key_pem, ..Service::clone(&service) }, audit).await?;
    }
    let customers = [CUSTOMER_ACTIVE, CUSTOMER_FROZEN].map(CustomerId::parse);
    Ok(SandboxWallet { id, key, customers: customers.into_iter().collect::<Result<_, _>>()? })
}

/// Lets an app be sent back to the demo mini program, wherever the issuer listens this time.
async fn register(issuer: &Issuer, id: &str) -> Result<()> {
    let id = AppId::parse(id)?;
    let url = format!("{}{}", issuer.public_url, sandbox_shop::PATH);
    // Someone deleted it: it stays deleted.
    let Some(app) = issuer.store.app(&id).await? else { return Ok(()) };
    if app.settings.redirect_urls.contains(&url) {
        return Ok(());
    }
    let mut app = App::clone(&app);
    app.settings.redirect_urls.retain(|known| !known.ends_with(sandbox_shop::PATH));
    app.settings.redirect_urls.push(url);
    let audit = issuer.audit("sandbox", AuditAction::AppChanged, &id, &Arrival::UNKNOWN);
    match issuer.store.put_app(app, audit).await? {
        Commit::Done => Ok(()),
        Commit::Lost => bail!("{id} was changed by somebody else at the same time; start again"),
    }
}
