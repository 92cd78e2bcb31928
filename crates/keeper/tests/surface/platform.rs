//! A stand-in for the platforms: it grants what is asked, counts the calls, and can be down.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use mintkeep_protocol::port::upstream::{FaultCause, Upstream, UpstreamFault};
use serde_json::{Value, json};

/// How long the stand-in's app tokens live, in seconds.
pub const LIFE_S: u64 = 7_200;

#[derive(Default)]
struct State {
    calls: usize,
    minted: usize,
    stable: Option<String>,
    dingtalk: Option<String>,
}

#[derive(Default)]
pub struct Platform {
    state: Mutex<State>,
    pub is_down: AtomicBool,
}

impl Platform {
    /// How many requests arrived.
    pub fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// Ends all tokens, as a platform does after a leak.
    pub fn revoke_all(&self) {
        let mut state = self.state.lock().unwrap();
        (state.stable, state.dingtalk) = (None, None);
    }
}

impl State {
    fn mint(&mut self) -> String {
        self.minted = self.minted.saturating_add(1);
        format!("planted-token-{:032}", self.minted)
    }

    fn answer(&mut self, request: &http::Request<Bytes>) -> Value {
        let minted = self.mint();
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        match request.uri().path() {
            "/cgi-bin/token" => json!({ "access_token": minted, "expires_in": LIFE_S }),
            "/cgi-bin/stable_token" => {
                let is_forced = body["force_refresh"] == true;
                let current = self.stable.take().filter(|_| !is_forced).unwrap_or(minted);
                self.stable = Some(current.clone());
                json!({ "access_token": current, "expires_in": LIFE_S })
            }
            "/v1.0/oauth2/accessToken" => {
                let current = self.dingtalk.take().unwrap_or(minted);
                self.dingtalk = Some(current.clone());
                json!({ "accessToken": current, "expireIn": LIFE_S })
            }
            path => panic!("the stand-in has no {path}"),
        }
    }
}

#[async_trait]
impl Upstream for Platform {
    async fn send(
        &self,
        _base_url: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, UpstreamFault> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(UpstreamFault::NotSent(FaultCause::Connect));
        }
        let mut state = self.state.lock().unwrap();
        state.calls = state.calls.saturating_add(1);
        let answer = state.answer(&request);
        Ok(http::Response::new(serde_json::to_vec(&answer).unwrap().into()))
    }
}
