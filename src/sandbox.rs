//! What `mintkeep dev` seeds, the same every time: apps, customers, a gateway, a wallet.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mintkeep_issuer::issuer::Issuer;
use mintkeep_protocol::app::{App, AppKey, StoredSecret};
use mintkeep_protocol::ident::{AppId, CustomerId, Dialect, ServiceId};
use mintkeep_protocol::issue::authenticate::{SecretOwner, secret_mac};
use mintkeep_protocol::record::{AuditAction, Customer, CustomerStatus, Profile, Service, ServiceRole};
use mintkeep_protocol::secret::ClientSecret;
use mintkeep_web::arrival::Arrival;

use crate::sandbox_keys;

/// The customer that may grant.
pub const CUSTOMER_ACTIVE: &str = "2160000000000001";
/// The customer that is frozen.
pub const CUSTOMER_FROZEN: &str = "2160000000000002";
/// The resource server that may introspect, and its secret.
pub const GATEWAY: (&str, &str) = ("gateway-sandbox", "sandbox-gateway-secret");
/// The wallet that may ask for codes, and its secret.
pub const WALLET: (&str, &str) = ("wallet-sandbox", "sandbox-wallet-secret");

/// An app of the sandbox.
pub struct SandboxApp {
    /// Which protocol it speaks.
    pub dialect: Dialect,
    /// Its id; the one of the keeper beside it ends in 2 instead of 1.
    pub id: &'static str,
    /// The id of the keeper's app.
    pub keeper_id: &'static str,
    /// Its secret; the signed dialects have keys in a folder instead.
    pub secret: Option<&'static str>,
}

/// The apps of the sandbox.
pub const APPS: [SandboxApp; 4] = [
    SandboxApp {
        dialect: Dialect::WeChat,
        id: "wx0000000000000001",
        keeper_id: "wx0000000000000002",
        secret: Some("sandbox-wechat-secret"),
    },
    SandboxApp {
        dialect: Dialect::DingTalk,
        id: "dingsandbox0000001",
        keeper_id: "dingsandbox0000002",
        secret: Some("sandbox-dingtalk-secret"),
    },
    SandboxApp {
        dialect: Dialect::MiniProgram,
        id: "MINI0000000000000001",
        keeper_id: "MINI0000000000000002",
        secret: None,
    },
    SandboxApp {
        dialect: Dialect::AlipayHk,
        id: "ALHK0000000000000001",
        keeper_id: "ALHK0000000000000002",
        secret: None,
    },
];

/// Seeds what is not there yet. What was changed since stays changed.
pub async fn seed(issuer: &Arc<Issuer>, data: &Path) -> Result<()> {
    for app in &APPS {
        let keys = if app.dialect.is_signed() { vec![seed_keys(issuer, data, app.dialect)?] } else { vec![] };
        for id in [app.id, app.keeper_id] {
            seed_app(issuer, app, id, keys.clone()).await?;
        }
    }
    seed_customer(issuer, CUSTOMER_ACTIVE, CustomerStatus::Active, "Chan Tai Man").await?;
    seed_customer(issuer, CUSTOMER_FROZEN, CustomerStatus::Frozen, "Wong Siu Ming").await?;
    seed_service(issuer, GATEWAY, ServiceRole::ResourceServer).await?;
    seed_service(issuer, WALLET, ServiceRole::Wallet).await
}

async fn seed_app(issuer: &Issuer, seeded: &SandboxApp, id: &str, keys: Vec<AppKey>) -> Result<()> {
    let id = AppId::parse(id)?;
    if issuer.store.app(&id).await?.is_some() {
        return Ok(());
    }
    let now = issuer.now();
    let no = issuer.new_record(now);
    let secrets = seeded.secret.map(|text| {
        let secret = ClientSecret::new(text.to_owned());
        StoredSecret { mac: secret_mac(&issuer.secret_key, SecretOwner::App(no), &secret), expires_at: None }
    });
    let app = App {
        name: format!("Sandbox {}", seeded.dialect),
        secrets: secrets.into_iter().collect(),
        keys,
        ..App::new(no, id.clone(), seeded.dialect, now)
    };
    let audit = issuer.audit("sandbox", AuditAction::AppCreated, &id, &Arrival::UNKNOWN);
    issuer.store.put_app(app, audit).await?;
    Ok(())
}

/// The app's key; its public half and the platform's are written beside it.
fn seed_keys(issuer: &Issuer, data: &Path, dialect: Dialect) -> Result<AppKey> {
    let folder = sandbox_keys::folder(data, dialect);
    let private = sandbox_keys::read(&sandbox_keys::app_private(data, dialect))?;
    let platform = issuer.signer.latest(dialect).context("the platform has no key for this dialect")?;
    fs::write(folder.join("app_public.pem"), private.public().to_pem())?;
    fs::write(folder.join("platform_public.pem"), platform.private.public().to_pem())?;
    Ok(AppKey { version: 1, public: private.public().clone() })
}

async fn seed_customer(issuer: &Issuer, id: &str, status: CustomerStatus, name: &str) -> Result<()> {
    let id = CustomerId::parse(id)?;
    if issuer.store.customer(&id).await?.is_some() {
        return Ok(());
    }
    let profile = Profile { nick_name: Some(name.to_owned()), ..Profile::default() };
    let audit = issuer.audit("sandbox", AuditAction::CustomerPut, &id, &Arrival::UNKNOWN);
    issuer.store.put_customer(Customer { id, status, profile }, audit).await?;
    Ok(())
}

async fn seed_service(issuer: &Issuer, (id, secret): (&str, &str), role: ServiceRole) -> Result<()> {
    let id = ServiceId::parse(id)?;
    if issuer.store.service(&id).await?.is_some() {
        return Ok(());
    }
    let mac = issuer.service_secret_mac(&id, &ClientSecret::new(secret.to_owned()));
    let audit = issuer.audit("sandbox", AuditAction::ServicePut, &id, &Arrival::UNKNOWN);
    let secret = StoredSecret { mac, expires_at: None };
    issuer.store.put_service(Service { id, role, secret, assertion_key_pem: None }, audit).await?;
    Ok(())
}
