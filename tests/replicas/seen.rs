//! What is changed at one replica is seen at the others.

use serde_json::json;

use crate::calls::{Shop, ask, wechat_app, wechat_errcode, wechat_token};
use crate::database::sql;
use crate::patience::until;
use crate::server::Server;
use crate::site::{Replica, configuration, migrate, new_database, new_database_on};

/// Asks until the answer is the wanted one. That it takes no more than a second is shown in `crates/store`, where no
/// process has to be waited for.
fn soon<T: PartialEq>(wanted: &T, what: &str, asked: impl Fn() -> T) {
    until(what, || (asked() == *wanted).then_some(()));
}

#[test]
fn a_disabled_app_and_revoked_tokens_are_refused_by_the_other_replica_within_a_second() {
    let url = new_database();
    migrate(&url);
    let [here, there]: [Replica; 2] = Replica::start_all(&url);
    let secret = wechat_app(&here, "wx1");
    let request = wechat_token("wx1", &secret);
    let token = ask(&there, &request).text("/access_token");
    assert_eq!(wechat_errcode(&there, &token), 0, "the other replica knows app and token");

    here.admin_post("/admin/v1/apps/wx1/revoke-tokens", &json!({}));
    soon(&40001, "revoked", || wechat_errcode(&there, &token));
    soon(&0, "minted anew", || wechat_errcode(&here, &ask(&there, &request).text("/access_token")));
    let token = ask(&there, &request).text("/access_token");

    here.admin_post("/admin/v1/apps/wx1/disable", &json!({}));
    soon(&40001, "disabled, its token", || wechat_errcode(&there, &token));
    soon(&true, "disabled, its secret", || {
        ask(&there, &request).json()["errcode"].as_i64().is_some_and(|errcode| errcode != -1)
    });

    here.admin_post("/admin/v1/apps/wx1/enable", &json!({}));
    soon(&0, "enabled again", || wechat_errcode(&there, &token));
    [here, there].into_iter().for_each(Replica::stop);
}

#[test]
fn a_platform_key_that_was_rotated_signs_at_the_other_replica_within_a_second() {
    let url = new_database();
    migrate(&url);
    let [here, there]: [Replica; 2] = Replica::start_all(&url);
    let shop = Shop::open(&here);
    let key_of = |replica: &Replica| {
        let signature = ask(replica, &shop.exchange("no-code", 0)).header("signature").unwrap().to_owned();
        signature.split([',', '=']).nth(3).unwrap().to_owned()
    };
    assert_eq!([key_of(&here), key_of(&there)], ["1", "1"]);
    here.admin_post("/admin/v1/platform-keys/miniprogram/rotate", &json!({}));
    assert_eq!(key_of(&here), "2", "here it signs at once");
    soon(&"2".to_owned(), "rotated", || key_of(&there));
    [here, there].into_iter().for_each(Replica::stop);
}

/// 32 bytes, as a master key's file has them.
const NEW_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

#[test]
fn a_master_key_that_is_rotated_at_one_replica_is_taken_over_by_the_other_without_a_restart() {
    let url = new_database();
    migrate(&url);
    let replicas: [Replica; 2] = Replica::start_all(&url);
    let [here, there] = &replicas;
    let keys = "current = \"file:new.key\"\nolder = [\"file:master.key\"]";
    let text = configuration(&url, 20).replace("current = \"file:master.key\"", keys);
    for replica in &replicas {
        replica.process.put("new.key", NEW_KEY);
        replica.process.put("mintkeep.toml", &text);
    }
    let told = |replica: &Replica, what: &str| replica.admin_get("/admin/v1/master-key").text(what);
    let old = told(there, "/current");

    here.admin_post("/admin/v1/master-key/rotation", &json!({}));
    let new = told(here, "/current");
    assert_ne!(old, new);
    soon(&new, "the new key at the other replica", || told(there, "/current"));
    let done = until("the rotation", || {
        let rotation = here.admin_get("/admin/v1/master-key/rotation").json();
        (rotation["state"] != "running").then_some(rotation)
    });
    assert_eq!((&done["state"], &done["older_keys_removable"]), (&json!("done"), &json!(true)), "{done}");

    there.admin_post("/admin/v1/platform-keys/miniprogram/rotate", &json!({}));
    let counted = here.admin_get("/admin/v1/master-key").json();
    assert_eq!(counted["left"], 0, "what the other replica draws now is under the new key too: {counted}");
    replicas.into_iter().for_each(Replica::stop);
}

/// What another replica's operator does to the app of this id, of which no notification arrives.
fn change_unheard(server: &Server, url: &str, id: &str, change: &str) {
    let database = url.rsplit('/').next().unwrap();
    let document = format!("jsonb_set(document::jsonb, {change})::text");
    let updated = sql(
        server,
        database,
        &format!(
            "UPDATE app SET revision = revision + 1, document = {document} WHERE id = '{id}' RETURNING id"
        ),
    );
    assert!(updated.starts_with(id), "{updated}");
}

#[test]
fn a_replica_that_heard_nothing_of_an_apps_change_hands_out_nothing_by_what_it_remembers() {
    let server = Server::start(None, &[]);
    let url = new_database_on(&server);
    migrate(&url);
    let [here, there]: [Replica; 2] = Replica::start_all(&url);
    #[rustfmt::skip]
    let cases = [
        ("wx1", "its tokens were ended", "'{token_epoch}', '7'",        true),
        ("wx2", "it was disabled",       "'{status}', '\"disabled\"'", false),
        ("wx3", "its secret is another", "'{secrets}', '[]'",           false),
    ];
    for (id, case, change, is_let_in) in cases {
        let request = wechat_token(id, &wechat_app(&here, id));
        let before = ask(&here, &request);
        assert!(before.json()["errcode"].is_null(), "{case}: {before:?}");
        change_unheard(&server, &url, id, change);
        let answer = ask(&here, &request);
        assert_eq!(answer.json()["errcode"].is_null(), is_let_in, "{case}: {answer:?}");
        assert_ne!(answer.json()["errcode"], -1, "{case}: it is not put off");
        if is_let_in {
            assert_eq!(
                wechat_errcode(&there, &answer.text("/access_token")),
                0,
                "{case}: its new token is good"
            );
        }
    }
    [here, there].into_iter().for_each(Replica::stop);
}
