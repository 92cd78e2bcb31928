//! The sandbox's fault rules: what a platform does to its clients on a bad day, on demand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mintkeep_protocol::dialect::alipay::Gateway;
use mintkeep_protocol::dialect::{dingtalk, wechat};
use mintkeep_protocol::ident::Dialect;
use mintkeep_protocol::port::entropy::{Entropy, draw};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// How many rules there may be at once.
pub const RULES_MAX: usize = 64;

/// Longest delay, in milliseconds.
pub const DELAY_MS_MAX: u64 = 60_000;

/// What a path has where callers write a corp of theirs, as docs/dialect writes it.
const ANY_CORP: &str = "{corpId}";

/// What a rule does to a request that it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// The connection ends and nothing happened.
    DropBefore,
    /// It happened and the answer is lost.
    DropAfter,
    /// The answer comes late.
    Delay,
    /// Nothing happened, and the answer is this code of the dialect.
    Answer,
}

/// When to do what to whose requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Whose requests.
    #[schema(value_type = String, example = "wechat")]
    pub dialect: Dialect,
    /// Which path; left out: all of the dialect.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What to do to them.
    pub action: FaultAction,
    /// For `delay`: how long, in milliseconds, at most 60,000.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// For `answer`: the dialect's code, such as `-1`, `USED_CODE` or `unknownError`. A number is taken too.
    #[serde(default, deserialize_with = "code")]
    pub code: Option<String>,
    /// How likely it strikes, more than 0 and at most 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// How often it strikes before it ends; left out: without end.
    #[serde(default)]
    pub count: Option<u64>,
}

const fn always() -> f64 {
    1.0
}

/// A code as the dialect writes it: WeChat's and the older of DingTalk's are numbers.
fn code<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a whole number")]
    enum Code {
        Text(String),
        Number(i64),
    }
    Ok(Option::deserialize(from)?.map(|code| match code {
        Code::Text(text) => text,
        Code::Number(number) => number.to_string(),
    }))
}

/// A rule in force.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActiveFault {
    /// Its number, for ending it.
    pub id: u64,
    /// The rule, its `count` what is left.
    #[serde(flatten)]
    pub rule: FaultRule,
}

/// What becomes of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strike {
    /// How long its answer is held back.
    pub delay: Duration,
    /// End the connection before anything happens.
    pub drop_before: bool,
    /// Let it happen, then end the connection.
    pub drop_after: bool,
    /// Answer this code and do nothing.
    pub answer: Option<String>,
}

/// Why a rule was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleRejected {
    /// The dialect has no such path, so the rule would never strike.
    #[error(
        "endpoint must be a path of the dialect, as docs/dialect lists them; leave it out for all of them"
    )]
    NoEndpoint,
    /// `delay` needs a delay.
    #[error("give delay_ms, 1 to 60000, with the action delay")]
    NoDelay,
    /// `answer` needs a code.
    #[error("give code, one of the dialect's own, with the action answer")]
    NoCode,
    /// Not a probability.
    #[error("probability must be more than 0 and at most 1")]
    NoProbability,
    /// Too many rules.
    #[error("there are 64 rules already; clear one first")]
    TooMany,
}

/// The rules in force. Only a sandbox has one of these.
pub struct Faults {
    entropy: Arc<dyn Entropy>,
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    last_id: u64,
    active: Vec<ActiveFault>,
}

impl Faults {
    /// No rules yet.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, rules: Mutex::default() }
    }

    /// Takes a rule; its number comes back.
    ///
    /// # Errors
    ///
    /// [`RuleRejected`]. Whether `code` is one of the dialect's is the caller's to check.
    pub fn add(&self, rule: FaultRule) -> Result<u64, RuleRejected> {
        if rule.endpoint.as_deref().is_some_and(|path| !has_endpoint(rule.dialect, path)) {
            return Err(RuleRejected::NoEndpoint);
        }
        let has_delay = rule.delay_ms.is_some_and(|ms| (1..=DELAY_MS_MAX).contains(&ms));
        if rule.action == FaultAction::Delay && !has_delay {
            return Err(RuleRejected::NoDelay);
        }
        if rule.action == FaultAction::Answer && rule.code.is_none() {
            return Err(RuleRejected::NoCode);
        }
        if !(rule.probability > 0.0 && rule.probability <= 1.0) {
            return Err(RuleRejected::NoProbability);
        }
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.active.len() >= RULES_MAX {
            return Err(RuleRejected::TooMany);
        }
        rules.last_id = rules.last_id.saturating_add(1);
        let id = rules.last_id;
        rules.active.push(ActiveFault { id, rule });
        Ok(id)
    }

    /// The rules in force.
    #[must_use]
    pub fn list(&self) -> Vec<ActiveFault> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).active.clone()
    }

    /// Ends a rule. `false`: there is none of this number.
    #[must_use]
    pub fn clear(&self, id: u64) -> bool {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rules.active.len();
        rules.active.retain(|fault| fault.id != id);
        rules.active.len() != before
    }

    /// What becomes of a request. All rules that match and are lucky strike together.
    #[must_use]
    pub fn strike(&self, dialect: Dialect, path: &str) -> Option<Strike> {
        let path = plain(dialect, path);
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut strike = None::<Strike>;
        for fault in &mut rules.active {
            let rule = &mut fault.rule;
            let is_meant = rule.dialect == dialect
                && rule.endpoint.as_deref().is_none_or(|endpoint| is_named(dialect, endpoint, path));
            if !is_meant || rule.count == Some(0) || !self.is_lucky(rule.probability) {
                continue;
            }
            rule.count = rule.count.map(|left| left.saturating_sub(1));
            let strike = strike.get_or_insert_default();
            match rule.action {
                FaultAction::DropBefore => strike.drop_before = true,
                FaultAction::DropAfter => strike.drop_after = true,
                FaultAction::Delay => {
                    let delay = Duration::from_millis(rule.delay_ms.unwrap_or_default());
                    strike.delay = strike.delay.saturating_add(delay);
                }
                FaultAction::Answer => strike.answer.clone_from(&rule.code),
            }
        }
        rules.active.retain(|fault| fault.rule.count != Some(0));
        strike
    }

    fn is_lucky(&self, probability: f64) -> bool {
        let drawn = u32::from_be_bytes(draw(&*self.entropy));
        f64::from(drawn) < probability * f64::from(u32::MAX) || probability >= 1.0
    }
}

/// Whether a rule's `endpoint` names the plain `path`. One with [`ANY_CORP`] names it for each.
fn is_named(dialect: Dialect, endpoint: &str, path: &str) -> bool {
    match endpoint.split_once(ANY_CORP) {
        None => plain(dialect, endpoint) == path,
        Some((before, after)) => {
            let corp = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            corp.is_some_and(|corp| !corp.contains('/'))
        }
    }
}

/// Whether requests of `dialect` can come to `path`.
fn has_endpoint(dialect: Dialect, path: &str) -> bool {
    match dialect {
        Dialect::WeChat => single_slashed(path) == path && wechat::Endpoint::at(path).is_some(),
        Dialect::DingTalk => dingtalk::Endpoint::at(&path.replace(ANY_CORP, "corp")).is_some(),
        Dialect::MiniProgram | Dialect::AlipayHk => {
            Gateway::of(dialect).is_some_and(|gateway| gateway.endpoint(path).is_some())
        }
    }
}

/// The one way to write a path that clients of `dialect` write in two.
fn plain(dialect: Dialect, path: &str) -> &str {
    Gateway::of(dialect).map_or_else(|| single_slashed(path), |gateway| gateway.plain(path))
}

/// The path without the first slash of two, which a public client of WeChat's begins its paths with.
fn single_slashed(path: &str) -> &str {
    path.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use mintkeep_protocol::port::entropy::SystemEntropy;

    use super::*;

    fn rule(action: FaultAction) -> FaultRule {
        FaultRule {
            dialect: Dialect::WeChat,
            endpoint: None,
            action,
            delay_ms: None,
            code: None,
            probability: 1.0,
            count: None,
        }
    }

    #[test]
    fn a_rule_strikes_its_dialect_and_path_as_often_as_it_says() {
        let faults = Faults::new(Arc::new(SystemEntropy));
        let endpoint = Some("/cgi-bin/token".to_owned());
        faults.add(FaultRule { endpoint, count: Some(2), ..rule(FaultAction::DropAfter) }).unwrap();
        assert_eq!(faults.strike(Dialect::DingTalk, "/cgi-bin/token"), None);
        assert_eq!(faults.strike(Dialect::WeChat, "/cgi-bin/stable_token"), None);
        for path in ["/cgi-bin/token", "//cgi-bin/token"] {
            assert!(faults.strike(Dialect::WeChat, path).unwrap().drop_after, "{path}");
        }
        assert_eq!(faults.strike(Dialect::WeChat, "/cgi-bin/token"), None);
        assert!(faults.list().is_empty(), "a rule that is used up is gone");
    }

    #[test]
    fn a_path_is_struck_with_htm_at_its_end_and_without_whichever_the_rule_names() {
        let faults = Faults::new(Arc::new(SystemEntropy));
        let paths = ["/v1/authorizations/applyToken", "/v1/authorizations/applyToken.htm"];
        for named in paths {
            let (dialect, endpoint) = (Dialect::MiniProgram, Some(named.to_owned()));
            let id = faults.add(FaultRule { dialect, endpoint, ..rule(FaultAction::DropAfter) }).unwrap();
            for asked in paths {
                assert!(faults.strike(dialect, asked).is_some(), "{named} strikes {asked}");
            }
            assert_eq!(faults.strike(dialect, "/v1/authorizations/cancelToken"), None);
            assert!(faults.clear(id));
        }
    }

    #[test]
    fn a_rule_for_a_corp_of_dingtalks_may_be_one_for_each() {
        let faults = Faults::new(Arc::new(SystemEntropy));
        let endpoint = Some("/v1.0/oauth2/{corpId}/token".to_owned());
        faults
            .add(FaultRule { dialect: Dialect::DingTalk, endpoint, ..rule(FaultAction::DropAfter) })
            .unwrap();
        for corp in ["ding1", "ding2"] {
            assert!(faults.strike(Dialect::DingTalk, &format!("/v1.0/oauth2/{corp}/token")).is_some());
        }
        for path in ["/v1.0/oauth2/accessToken", "/v1.0/oauth2/a/b/token", "/v1.0/oauth2/ding1/tokens"] {
            assert_eq!(faults.strike(Dialect::DingTalk, path), None, "{path}");
        }
    }

    #[test]
    fn rules_strike_together_and_end_by_their_number() {
        let faults = Faults::new(Arc::new(SystemEntropy));
        faults.add(FaultRule { delay_ms: Some(5), ..rule(FaultAction::Delay) }).unwrap();
        let id = faults.add(FaultRule { code: Some("-1".into()), ..rule(FaultAction::Answer) }).unwrap();
        let strike = faults.strike(Dialect::WeChat, "/x").unwrap();
        assert_eq!((strike.delay, strike.answer.as_deref()), (Duration::from_millis(5), Some("-1")));
        assert!(faults.clear(id) && !faults.clear(id));
        assert_eq!(faults.strike(Dialect::WeChat, "/x").unwrap().answer, None);
    }

    #[test]
    fn a_rule_that_could_do_nothing_is_refused() {
        let faults = Faults::new(Arc::new(SystemEntropy));
        assert_eq!(faults.add(rule(FaultAction::Delay)), Err(RuleRejected::NoDelay));
        assert_eq!(faults.add(rule(FaultAction::Answer)), Err(RuleRejected::NoCode));
        for probability in [0.0, -1.0, 1.1, f64::NAN] {
            let rule = FaultRule { probability, ..rule(FaultAction::DropBefore) };
            assert_eq!(faults.add(rule), Err(RuleRejected::NoProbability));
        }
    }
}
