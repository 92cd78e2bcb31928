//! What every store must do, asked of each of them.

#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

#[cfg(test)]
mod apps;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod race;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod sample;

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
    race::whoever_reads_after_an_answer_sees_what_was_answered,
    rest::customers_and_services_are_put_over_their_like,
    rest::a_platform_key_is_added_once_for_each_version,
    rest::the_audit_is_read_from_its_end_in_order,
    rest::a_lost_change_leaves_no_audit_line,
    rest::a_store_begins_in_epoch_nought,
}
