//! What the merchant's server asks the platform with a customer's token: who the customer is.
//!
//! The keeper holds the tokens; the call itself is signed by the merchant, as its platform wants it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::Response;
use mintkeep_issuer::issuer::Issuer;
use mintkeep_protocol::app::{AppKey, SignatureEncoding};
use mintkeep_protocol::crypto::RsaPrivateKey;
use mintkeep_protocol::dialect::alipay::{
    AnswerCheck, Endpoint, Gateway, Received, Sender, decode_response, encode_request,
};
use mintkeep_protocol::dialect::answer::UpstreamAnswer;
use mintkeep_protocol::ident::{AppId, Dialect};
use mintkeep_protocol::request::Ask;
use mintkeep_protocol::secret::AccessToken;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::ANSWER_BYTES_MAX;

/// What the merchant calls the platform with.
pub struct Signer {
    /// The platform's routes.
    pub platform: Router,
    /// The platform's clock and public key.
    pub issuer: Arc<Issuer>,
    /// The app at the platform.
    pub app: AppId,
    /// What it signs with.
    pub key: RsaPrivateKey,
}

impl Signer {
    /// Calls `inquiryUserInfo`; what the platform's answer told, or why there is none.
    pub async fn user_info(self: &Arc<Self>, token: AccessToken) -> Value {
        let own = Arc::clone(self);
        let signed = self.issuer.tasks.spawn_blocking(move || own.signed(&Ask::UserInfo(token))).await;
        let Ok(Some(request)) = signed else { return unheard("the request could not be signed") };
        let path = request.uri().path().to_owned();
        let Ok(response) = self.platform.clone().oneshot(request.map(Body::from)).await;
        let (head, body) = response.into_parts();
        let Ok(body) = to_bytes(body, ANSWER_BYTES_MAX).await else {
            return unheard("the answer is too long");
        };
        self.told(&path, &Response::from_parts(head, body))
    }

    fn signed(&self, ask: &Ask) -> Option<http::Request<bytes::Bytes>> {
        let sender = Sender { client_id: &self.app, path_prefix: "", at: self.issuer.now(), offset_min: 0 };
        let unsigned = encode_request(Gateway::MiniProgram, ask, &sender).ok()?;
        let signature = self.key.sign(&unsigned.text_to_sign()).ok()?;
        Some(unsigned.signed(1, &signature, SignatureEncoding::PercentBase64))
    }

    fn told(&self, path: &str, answer: &Response<bytes::Bytes>) -> Value {
        let Some(platform) = self.issuer.signer.latest(Dialect::MiniProgram) else {
            return unheard("the platform has no key");
        };
        let platform_keys = [AppKey { version: platform.version, public: platform.private.public().clone() }];
        let check =
            AnswerCheck { client_id: &self.app, path, platform_keys: &platform_keys, private_key: None };
        match decode_response((Gateway::MiniProgram, Endpoint::UserInfo), &check, answer) {
            UpstreamAnswer::Granted(Received::UserInfo { customer, profile }) => {
                json!({ "path": path, "userId": customer, "nickName": profile.nick_name })
            }
            UpstreamAnswer::Refused { said, .. } => unheard(said.code()),
            UpstreamAnswer::Granted(_) | UpstreamAnswer::Ambiguous(_) => {
                unheard("the answer can't be read, or is not the platform's")
            }
        }
    }
}

fn unheard(why: &str) -> Value {
    json!({ "error": why })
}
