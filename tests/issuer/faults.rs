//! The sandbox's fault rules, as a caller meets them.

use std::time::Duration;

use mintkeep_issuer::faults::{FaultAction, FaultRule};
use mintkeep_protocol::ident::Dialect;

use super::rig::{ACTIVE, MINI, Rig, wechat_target};

fn rule(dialect: Dialect, action: FaultAction) -> FaultRule {
    FaultRule {
        dialect,
        endpoint: None,
        action,
        delay_ms: None,
        code: None,
        probability: 1.0,
        count: Some(1),
    }
}

#[tokio::test]
async fn a_connection_dropped_before_leaves_all_as_it_was() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    let _before = rig.store.asked();
    rig.faults.add(rule(Dialect::MiniProgram, FaultAction::DropBefore)).unwrap();
    assert!(rig.exchange(MINI, &code).await.is_dropped);
    assert_eq!(rig.store.asked(), (0, 0));
    assert_eq!(rig.exchange(MINI, &code).await.code(), "SUCCESS", "the rule is used up, the code is not");
}

#[tokio::test]
async fn a_connection_dropped_after_has_done_its_work() {
    let rig = Rig::new().await;
    let code = rig.code(MINI, ACTIVE).await;
    rig.faults.add(rule(Dialect::MiniProgram, FaultAction::DropAfter)).unwrap();
    assert!(rig.exchange(MINI, &code).await.is_dropped);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.exchange(MINI, &code).await.code(), "USED_CODE", "another request, the code is spent");
}

#[tokio::test]
async fn a_code_to_answer_is_answered_in_its_dialect_and_nothing_happens() {
    let rig = Rig::new().await;
    let cases = [
        (Dialect::WeChat, "-1", "/errcode", "-1"),
        (Dialect::WeChat, "45009", "/errcode", "45009"),
        (Dialect::DingTalk, "unknownError", "/code", "unknownError"),
        (Dialect::MiniProgram, "USED_CODE", "/result/resultCode", "USED_CODE"),
        (Dialect::MiniProgram, "UNKNOWN_EXCEPTION", "/result/resultStatus", "U"),
    ];
    for (dialect, code, field, told) in cases {
        rig.faults.add(FaultRule { code: Some(code.into()), ..rule(dialect, FaultAction::Answer) }).unwrap();
        let answer = match dialect {
            Dialect::WeChat => rig.get(&wechat_target()).await,
            Dialect::DingTalk => rig.dingtalk_token().await,
            Dialect::MiniProgram | Dialect::AlipayHk => rig.exchange(MINI, "abc").await,
        };
        assert_eq!(answer.text(field), told, "{dialect} {code}");
        assert_eq!(rig.store.asked(), (0, 0), "{dialect} {code}");
    }
}

#[tokio::test]
async fn a_delayed_answer_is_the_right_one_but_late() {
    let rig = Rig::new().await;
    let delay = FaultRule { delay_ms: Some(20), ..rule(Dialect::WeChat, FaultAction::Delay) };
    rig.faults.add(delay).unwrap();
    let begun = tokio::time::Instant::now();
    let answer = rig.get(&wechat_target()).await;
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!(answer.text("/expires_in"), "7200");
}
