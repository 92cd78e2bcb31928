//! What every store must do, asked of each of them.

#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

#[cfg(test)]
mod apps;
#[cfg(test)]
mod churn;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod cut;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod gather;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod keeper;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod network;
#[cfg(test)]
mod pooler;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod port;
#[cfg(test)]
mod race;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod server;
#[cfg(test)]
mod size;

#[cfg(test)]
use keeper::{credentials, exchanges, follow, leases, slots};

/// Makes one test of each case for each store: a case is an async function that takes an empty store.
#[cfg(test)]
macro_rules! over_every_store {
    ($($room:ident::$case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$room::$case(std::sync::Arc::new(mintkeep_store::MemoryStore::new())).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                super::$room::$case(super::sample::open_sqlite(folder.path())).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$room::$case(super::cluster::open_postgres().await).await;
            })*
        }
        mod serializable {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$room::$case(super::cluster::open_serializable().await).await;
            })*
        }
    };
}

#[cfg(test)]
over_every_store! {
    apps::an_app_comes_back_by_id_and_by_number_as_it_was_put,
    apps::an_app_is_changed_only_over_the_revision_that_is_stored,
    apps::an_id_or_a_number_that_is_taken_is_lost_and_changes_nothing,
    apps::an_unknown_app_is_found_once_it_is_made,
    apps::apps_are_listed_in_pages_by_id,
    apps::a_deleted_app_takes_its_own_pools_and_grants_along,
    apps::nothing_is_handed_out_on_the_word_of_an_app_that_is_another_by_now,
    apps::an_app_made_anew_under_an_old_id_is_another,
    pools::a_pool_comes_back_as_it_was_committed,
    pools::a_pool_is_changed_only_over_the_revision_that_is_stored,
    pools::a_mere_count_leaves_no_audit_line,
    grants::a_grant_comes_back_as_it_was_committed_in_each_stage,
    grants::a_grant_is_changed_only_over_the_revision_that_is_stored,
    grants::a_number_that_is_taken_is_lost,
    grants::grants_are_listed_by_app_and_customer_in_pages_in_the_order_they_were_made,
    race::of_many_who_commit_one_revision_of_a_grant_one_is_done,
    race::of_many_who_commit_one_revision_of_a_pool_one_is_done,
    race::of_many_who_make_one_app_one_is_done,
    race::of_many_who_spend_one_nonce_one_is_done,
    race::whoever_reads_after_an_answer_sees_what_was_answered,
    rest::customers_and_services_are_put_over_their_like,
    rest::a_nonce_is_spent_once_and_without_an_audit_line,
    rest::customers_and_services_are_listed_in_pages_by_id,
    rest::the_audit_is_paged_through_from_its_end,
    rest::a_platform_key_is_added_once_for_each_version,
    rest::a_platform_key_is_sealed_anew_only_in_place_of_the_seal_that_was_seen,
    rest::the_audit_is_read_from_its_end_in_order,
    rest::a_lost_change_leaves_no_audit_line,
    rest::a_store_begins_in_epoch_nought,
    credentials::credentials_come_back_as_they_were_put_in_pages_by_number,
    credentials::a_credential_is_changed_only_over_the_revision_that_is_stored,
    credentials::a_credentials_name_is_free_again_once_it_is_removed,
    credentials::a_removed_credential_takes_its_own_slots_story_and_exchanges_along,
    credentials::consumers_come_back_as_they_were_put_until_they_are_revoked,
    slots::a_slot_comes_back_as_it_was_stored,
    slots::slots_are_listed_by_key_in_pages,
    slots::a_slots_story_keeps_its_last_lines_the_latest_first,
    leases::of_many_who_take_one_lease_one_gets_it,
    leases::no_lease_is_given_for_a_credential_that_is_not_there,
    leases::whoever_was_overtaken_commits_nothing,
    leases::an_intent_and_its_call_are_stored_both_or_neither,
    leases::many_who_call_at_once_never_exceed_the_ceiling,
    leases::an_answer_is_kept_once_whoever_holds_the_lease_by_now,
    leases::a_kept_slot_ends_its_lease_and_tells_its_story,
    exchanges::of_many_who_exchange_one_code_one_begins,
    exchanges::an_exchange_is_presented_answered_and_put_off_under_its_guards,
    exchanges::an_exchange_and_the_slot_that_it_fills_are_committed_both_or_neither,
    exchanges::an_exchange_ends_the_lease_of_a_renewal_in_its_slot,
    exchanges::what_was_presented_is_listed_until_it_ends_and_all_else_is_forgotten_after_a_while,
    follow::each_change_is_seen_in_its_order_as_the_record_is_now,
    follow::a_lost_change_is_not_seen_and_a_removal_is,
}
