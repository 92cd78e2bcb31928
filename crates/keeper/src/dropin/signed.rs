//! Mini Program and AlipayHK: `applyToken` by consumers that sign their requests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use mintkeep_protocol::crypto::WireKey;
use mintkeep_protocol::dialect::AnswerContext;
use mintkeep_protocol::dialect::alipay::{
    self, Echo, EncryptedBody, Endpoint, Gateway, SignedBody, UnsignedAnswer,
};
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::consumer::{Consumer, Verb};
use mintkeep_protocol::keep::slot::Trouble;
use mintkeep_protocol::outcome::{Granted, Outcome, Refusal, TokenSet};
use mintkeep_protocol::request::Ask;
use mintkeep_protocol::secret::{AuthCode, RefreshToken};
use mintkeep_protocol::time::Timestamp;
use mintkeep_web::arrival::Arrival;
use mintkeep_web::note::{AnswerNote, no_answer};

use super::signer::{Signer, find_signer};
use super::usable::{told, usable};
use super::{DropIn, copy, note, shape};
use crate::exchanger::ExchangeFailure;
use crate::keeper::Keeper;
use crate::reader::ReadFailure;
use crate::roster::Account;

/// The `keyVersion` of the key that our answers are signed with.
const ANSWER_KEY_VERSION: u32 = 1;

/// What a call leaves behind besides its outcome: what the answer is signed and encrypted for.
#[derive(Default)]
struct Known {
    signer: Option<Signer>,
    wire_key: Option<WireKey>,
}

/// Decode, do, encode, sign.
pub(super) async fn answer(
    desk: &Arc<DropIn>,
    gateway: Gateway,
    request: &Request<Bytes>,
    (refused, arrival): (Option<Outcome>, &Arrival),
) -> (Response<Bytes>, AnswerNote) {
    let echo = Echo::of(request);
    let mut known = Known::default();
    let outcome = match refused {
        Some(outcome) => outcome,
        None => done(desk, gateway, request, (arrival, &mut known)).await.unwrap_or_else(Outcome::Refused),
    };
    let app = known.signer.as_ref().map(|signer| shape(gateway.dialect(), &signer.account.credential.app));
    let context = AnswerContext {
        path: request.uri().path(),
        now: desk.now(),
        request_id: arrival.id,
        app: app.as_ref(),
        profile: None,
    };
    let unsigned = alipay::answer(gateway, &echo, &outcome, &context);
    let note = note(gateway.dialect(), &outcome);
    (sign(&desk.keeper, unsigned, known).await, note)
}

/// The checks in the order of the Mini Program pages, then the work.
async fn done(
    desk: &Arc<DropIn>,
    gateway: Gateway,
    request: &Request<Bytes>,
    (arrival, known): (&Arrival, &mut Known),
) -> Result<Outcome, Refusal> {
    let call = alipay::decode_head(gateway, request)?;
    if call.endpoint != Endpoint::ApplyToken {
        return Err(Refusal::ApiUnknown);
    }
    let signature = call.signature(None);
    let request_time = signature.as_ref().ok().and_then(|signature| signature.request_time);
    let signer = match signature {
        Ok(signature) => find_signer(desk, gateway, &call.client_id, signature).await,
        Err(refusal) => Err(refusal),
    };
    let signer = signer.map_err(|refusal| desk.strangers(refusal, (&call.client_id, arrival)))?;
    let signer = known.signer.insert(signer);
    let (consumer, account) = (Arc::clone(&signer.consumer), Arc::clone(&signer.account));
    let (now, window) = (desk.now(), shape(gateway.dialect(), &call.client_id).request_time_window());
    let is_recent = |made_at: Timestamp| now.since(made_at).max(made_at.since(now)) <= window;
    if !request_time.is_some_and(is_recent) {
        return Err(Refusal::RequestTimeIllegal);
    }
    let ask = match call.body()? {
        SignedBody::Plain(body) => call.ask(body)?,
        SignedBody::Encrypted(body) => {
            let (plaintext, wire_key) = open(&desk.keeper, &consumer, body.clone()).await?;
            known.wire_key = Some(wire_key);
            call.ask(&plaintext)?
        }
    };
    let caller = (&*consumer, arrival);
    match ask {
        Ask::ExchangeCode(code) => exchange(desk, &account, caller, code).await,
        Ask::Refresh(handle) => refresh(desk, &account, caller, &handle).await,
        Ask::AppToken { .. }
        | Ask::CancelToken(_)
        | Ask::UserInfo(_)
        | Ask::PlatformAddresses
        | Ask::ClearQuota(_)
        | Ask::QuotaOf { .. }
        | Ask::Ticket { .. } => Err(Refusal::ApiUnknown),
    }
}

/// Opens an encrypted body: to its consumer, our answers' key is the platform's.
async fn open(
    keeper: &Arc<Keeper>,
    consumer: &Arc<Consumer>,
    body: EncryptedBody,
) -> Result<(zeroize::Zeroizing<Vec<u8>>, WireKey), Refusal> {
    let (keeper_there, consumer, decoy) = (Arc::clone(keeper), Arc::clone(consumer), keeper.draw());
    let work = move || {
        let private = keeper_there.drop_in_answer_key(&consumer).ok_or(Refusal::EncryptionInvalid)?;
        body.open(&private, decoy)
    };
    let opened = keeper.tasks.spawn_blocking(work).await.map_err(|_busy| Refusal::RateLimited)??;
    Ok((opened.plaintext, opened.key))
}

async fn exchange(
    desk: &Arc<DropIn>,
    account: &Arc<Account>,
    (consumer, arrival): (&Consumer, &Arrival),
    code: AuthCode,
) -> Result<Outcome, Refusal> {
    if !consumer.may(Verb::Exchange, &account.credential.name) {
        return Err(Refusal::AccessDenied);
    }
    match desk.keeper.exchange(account, code, &consumer.name).await {
        Ok(exchanged) => give(desk, account, &exchanged.customer, (consumer, arrival)).await,
        Err(failure) => outcome_of(&failure, account),
    }
}

/// What an exchange that bought nothing is in the dialect.
///
/// A refusal of the keeper's own credential ends none. A code in doubt is told as used, since only a new one can help.
fn outcome_of(failure: &ExchangeFailure, account: &Account) -> Result<Outcome, Refusal> {
    match failure {
        ExchangeFailure::Later(_) => Ok(Outcome::Unknown),
        ExchangeFailure::NotYours | ExchangeFailure::Ended { because: Trouble::InDoubt, .. } => {
            Err(Refusal::CodeUsed)
        }
        ExchangeFailure::NoCustomers => Err(Refusal::ApiUnknown),
        ExchangeFailure::Ended { code, .. } => {
            let gateway = Gateway::of(account.credential.source.dialect());
            let said = gateway.zip(code.as_deref()).and_then(|(gateway, code)| gateway.outcome_of_code(code));
            Err(match said {
                Some(Outcome::Refused(refusal)) => refusal,
                Some(_) | None => Refusal::CodeInvalid,
            })
        }
    }
}

async fn refresh(
    desk: &Arc<DropIn>,
    account: &Arc<Account>,
    caller: (&Consumer, &Arrival),
    handle: &RefreshToken,
) -> Result<Outcome, Refusal> {
    if !caller.0.may(Verb::Read, &account.credential.name) {
        return Err(Refusal::AccessDenied);
    }
    let customer = customer_of(handle).ok_or(Refusal::RefreshInvalid)?;
    give(desk, account, &customer, caller).await
}

/// The customer's tokens, as they are held. When only the customer's new authorization can help, that is
/// said; anything else is our own trouble, and temporary.
async fn give(
    desk: &Arc<DropIn>,
    account: &Arc<Account>,
    customer: &CustomerId,
    (consumer, arrival): (&Consumer, &Arrival),
) -> Result<Outcome, Refusal> {
    let leaf = match desk.token(account, Some(customer), (consumer, arrival), false).await {
        Ok(leaf) => leaf,
        Err(ReadFailure::NoSuchSlot) => return Err(Refusal::RefreshInvalid),
        Err(ReadFailure::Unavailable(denial)) => {
            return match denial.because {
                Trouble::RefreshRefused | Trouble::Forgotten | Trouble::InDoubt => {
                    Err(Refusal::RefreshInvalid)
                }
                Trouble::NotSent
                | Trouble::Ambiguous
                | Trouble::CredentialRefused
                | Trouble::RateLimited
                | Trouble::QuotaExhausted
                | Trouble::Refused
                | Trouble::AnswerUnreadable
                | Trouble::Store
                | Trouble::SealBroken => Ok(Outcome::Unknown),
            };
        }
    };
    let now = desk.now();
    let Some(kept) = leaf.good(now) else { return Ok(Outcome::Unknown) };
    let usable = usable(kept.left(now), &leaf.upkeep, &account.terms, now);
    let margin = Duration::from_secs(u64::from(consumer.margin_floor_s));
    let expires_in = told(usable, margin);
    Ok(Outcome::Granted(Granted::TokenSet(TokenSet {
        access: copy(&kept.access),
        access_expires_at: now.after(expires_in),
        expires_in,
        refresh: handle_of(customer),
        refresh_expires_at: kept.refresh_expires_at.unwrap_or(kept.expires_at),
        customer: customer.clone(),
        scopes: vec![],
    })))
}

const HANDLE: &str = "keeper";

/// What a client library gets for a refresh token. The real one never leaves the keeper.
///
/// Letters and digits alone, as a platform's: none of the characters of an id becomes a `-` or a `_` in base64url.
///
/// It names the customer and is no secret: it is taken only in a request that is signed by a consumer which
/// may read that customer's tokens anyway.
fn handle_of(customer: &CustomerId) -> RefreshToken {
    RefreshToken::new(format!("{HANDLE}{}", URL_SAFE_NO_PAD.encode(customer.as_str())))
}

fn customer_of(handle: &RefreshToken) -> Option<CustomerId> {
    let named = handle.expose().strip_prefix(HANDLE)?;
    // Those that were handed out earlier have a hyphen.
    let named = named.strip_prefix('-').unwrap_or(named);
    let bytes = URL_SAFE_NO_PAD.decode(named).ok()?;
    CustomerId::parse(std::str::from_utf8(&bytes).ok()?).ok()
}

/// Encrypts if the request was, and signs, off the event loop; an answer to a stranger goes unsigned.
///
/// When too many answers wait for their signatures, the connection ends without one: the caller repeats its
/// request, and gets the same answer then.
async fn sign(keeper: &Arc<Keeper>, unsigned: UnsignedAnswer, known: Known) -> Response<Bytes> {
    let Some(signer) = known.signer else { return unsigned.unsigned() };
    let keeper_there = Arc::clone(keeper);
    let work = move || {
        let private = keeper_there.drop_in_answer_key(&signer.consumer)?;
        let unsigned = match known.wire_key {
            Some(wire_key) => unsigned.encrypted(&wire_key, &signer.key).ok()?,
            None => unsigned,
        };
        let signature = private.sign(&unsigned.text_to_sign()).ok()?;
        Some(unsigned.signed(ANSWER_KEY_VERSION, &signature))
    };
    if let Ok(Some(response)) = keeper.tasks.spawn_blocking(work).await {
        return response;
    }
    tracing::warn!("a drop-in answer could not be signed");
    no_answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (CustomerId, RefreshToken) {
        let customer = CustomerId::parse(text).unwrap();
        let handle = handle_of(&customer);
        (customer, handle)
    }

    #[test]
    fn a_handle_names_its_customer_and_fits_where_a_refresh_token_does() {
        let longest = "c".repeat(CustomerId::CHARS_MAX);
        for text in
            [longest.as_str(), "2160000000000001", "z", "zz", "zzz", "Zz09._-:+", "+:-._90zZ", "o+o:_-"]
        {
            let (customer, handle) = of(text);
            let is_plain = handle.expose().bytes().all(|byte| byte.is_ascii_alphanumeric());
            assert!(is_plain && handle.expose().len() <= 128, "{}", handle.expose());
            assert_eq!(customer_of(&handle), Some(customer));
        }
        let earlier = RefreshToken::new("keeper-YzE".to_owned());
        assert_eq!(customer_of(&earlier), CustomerId::parse("c1").ok(), "as it was handed out before");
        for wrong in
            ["", "keeper", "keeper-", "keeper!", "keeperYSBi", "281010033AB2F588D14B43238637264FCA5A5E35"]
        {
            assert_eq!(customer_of(&RefreshToken::new(wrong.to_owned())), None, "{wrong}");
        }
    }
}
