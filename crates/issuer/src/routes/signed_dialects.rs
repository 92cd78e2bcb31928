//! Mini Program and AlipayHK: signed requests, signed answers, now and then encrypted.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use mintkeep_protocol::app::App;
use mintkeep_protocol::crypto::WireKey;
use mintkeep_protocol::dialect::AnswerContext;
use mintkeep_protocol::dialect::alipay::{self, Echo, Gateway, SignedBody, SignedCall, UnsignedAnswer};
use mintkeep_protocol::outcome::{Granted, Outcome, Refusal};
use mintkeep_protocol::port::entropy::draw;
use mintkeep_protocol::request::ClientProof;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::note::{AnswerNote, no_answer};

use super::Told;
use crate::issuer::{Failure, Issuer};

/// What a call leaves behind besides its outcome: what the answer is shaped and encrypted by.
#[derive(Default)]
struct Known {
    app: Option<Arc<App>>,
    wire_key: Option<WireKey>,
    key_version: Option<u32>,
}

/// Decode, do, encode, sign.
pub(super) async fn answer(
    issuer: &Arc<Issuer>,
    gateway: Gateway,
    request: &Request<Bytes>,
    (told, arrival): (Option<Told>, &Arrival),
) -> (Response<Bytes>, AnswerNote) {
    let echo = Echo::of(request);
    let mut known = Known::default();
    let outcome = match told {
        Some(told) => *told.outcome,
        None => done(issuer, gateway, request, (arrival, &mut known))
            .await
            .map_or_else(Into::into, Outcome::Granted),
    };
    let context = AnswerContext {
        path: request.uri().path(),
        now: issuer.now(),
        request_id: arrival.id,
        app: known.app.as_deref(),
        profile: None,
    };
    let unsigned = alipay::answer(gateway, &echo, &outcome, &context);
    let note = super::note(gateway.dialect(), &outcome);
    (sign(issuer, gateway, unsigned, known).await, note)
}

/// Does it; once more if the app was changed after it was let in, for nothing came of it then.
async fn done(
    issuer: &Arc<Issuer>,
    gateway: Gateway,
    request: &Request<Bytes>,
    (arrival, known): (&Arrival, &mut Known),
) -> Result<Granted, Failure> {
    let done = done_once(issuer, gateway, request, (arrival, known)).await;
    if matches!(done, Err(Failure::Overtaken)) {
        return done_once(issuer, gateway, request, (arrival, known)).await;
    }
    done
}

/// The checks in the order of the Mini Program pages, then the work.
async fn done_once(
    issuer: &Arc<Issuer>,
    gateway: Gateway,
    request: &Request<Bytes>,
    (arrival, known): (&Arrival, &mut Known),
) -> Result<Granted, Failure> {
    let call = alipay::decode_head(gateway, request)?;
    let app = issuer.app_of(gateway.dialect(), &call.client_id).await?;
    known.app = Some(Arc::clone(&app));
    let signature = call.signature(app.settings.public_path_prefix.as_deref());
    let digest = signature.as_ref().ok().map(mintkeep_protocol::request::RequestSignature::digest);
    known.key_version = signature.as_ref().ok().and_then(|signature| signature.key_version);
    let proof = signature.map_or_else(ClientProof::Unusable, ClientProof::Signature);
    let client = issuer.admit(&app, &proof, arrival)?;

    let ask = match call.body()? {
        SignedBody::Plain(body) => call.ask(body)?,
        SignedBody::Encrypted(_) => {
            let (plaintext, key) = open(issuer, &call).await?;
            known.wire_key = Some(key);
            call.ask(&plaintext)?
        }
    };
    issuer.done_for_client(&client, &ask, digest, arrival).await
}

/// Opens an encrypted body, off the event loop.
async fn open(
    issuer: &Arc<Issuer>,
    call: &SignedCall,
) -> Result<(zeroize::Zeroizing<Vec<u8>>, WireKey), Failure> {
    let SignedBody::Encrypted(body) = call.body()?.clone() else {
        return Err(Refusal::EncryptionInvalid.into());
    };
    let key = issuer.signer.key(call.gateway.dialect(), body.key_version).await?;
    let key = key.ok_or(Refusal::EncryptionInvalid)?;
    let decoy = draw(&*issuer.entropy);
    let opened = issuer.tasks.spawn_blocking(move || body.open(&key.private, decoy)).await;
    let opened = opened.map_err(|_| Refusal::RateLimited)??;
    Ok((opened.plaintext, opened.key))
}

/// Encrypts if the request was, and signs, off the event loop.
///
/// When too many answers wait for their signatures, the connection ends without one: the caller can't
/// tell what happened, repeats its request, and gets the answer then.
async fn sign(
    issuer: &Arc<Issuer>,
    gateway: Gateway,
    unsigned: UnsignedAnswer,
    known: Known,
) -> Response<Bytes> {
    let Some(key) = issuer.signer.latest(gateway.dialect()) else { return unsigned.unsigned() };
    let work = move || {
        let app_key = known.app.as_deref().and_then(|app| app.key(known.key_version));
        let unsigned = match (known.wire_key, app_key) {
            (Some(wire_key), Some(app_key)) => unsigned.encrypted(&wire_key, app_key).ok()?,
            _ => unsigned,
        };
        let signature = key.private.sign(&unsigned.text_to_sign()).ok()?;
        Some(unsigned.signed(key.version, &signature))
    };
    if let Ok(Some(response)) = issuer.tasks.spawn_blocking(work).await {
        return response;
    }
    tracing::warn!(dialect = %gateway.dialect(), "an answer could not be signed");
    no_answer()
}
