//! What a keeper counts, and what of that is told after it is over.

use std::fmt::Debug;
use std::iter::Sum;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::history::{Cause, Ending};

use crate::api::delete;
use crate::gate::Mischief;
use crate::platform::LIFE;
use crate::world::{CREDENTIALS, CUSTOMERS, World, by, name};

/// The sum of all lines of a metric whose labels have these words.
fn sum<T: FromStr<Err: Debug> + Sum>(recorder: &PrometheusRecorder, metric: &str, words: &str) -> T {
    let text = recorder.handle().render();
    let lines = text.lines().filter(|line| line.starts_with(metric) && line.contains(words));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<T>().unwrap()).sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_renewed_any_more_is_told_no_life() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = ::metrics::set_default_local_recorder(&recorder);
    let world = World::new(1, 1).await;
    let left = |credential: &str| {
        sum::<f64>(&recorder, "mintkeep_keeper_seconds_to_expiry", &format!("credential=\"{credential}\""))
    };
    let told = Duration::from_mins(3);
    tokio::time::sleep(told).await;
    assert!(left("legacy") > 0.0 && left("mini") > 0.0 && left("hk") > 0.0);

    let (keeper, customer) = (&world.processes[0].keeper, CustomerId::parse(CUSTOMERS[0]).unwrap());
    keeper.remove_credential(&name("legacy"), &by()).await.unwrap();
    keeper.forget(&world.account(0, "mini"), &customer, (&world.consumer.name, &by())).await.unwrap();
    tokio::time::sleep(told).await;
    assert!(left("legacy").is_nan() && left("mini").is_nan(), "{} {}", left("legacy"), left("mini"));
    assert!(left("hk") > 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_counted_by_the_keeper_that_made_it() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = ::metrics::set_default_local_recorder(&recorder);
    let world = World::new(1, 3).await;
    tokio::time::sleep(LIFE * 2).await;
    let mut renewed = 0_u32;
    for (credential, source) in CREDENTIALS {
        let customer = source.dialect().is_signed().then(|| CustomerId::parse(CUSTOMERS[0]).unwrap());
        let account = world.account(0, credential);
        let story = world.processes[0].keeper.explain(&account, customer.as_ref()).await.unwrap().history;
        let of_flights = story.iter().filter(|line| !matches!(line.cause, Cause::Exchange { .. }));
        renewed += u32::try_from(of_flights.filter(|line| line.ending == Ending::Renewed).count()).unwrap();
    }
    assert!(renewed > 5, "{renewed}");
    let counted: u32 = sum(&recorder, "mintkeep_keeper_renewals_total", "outcome=\"renewed\"");
    assert_eq!(counted, renewed);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_could_not_forget_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = ::metrics::set_default_local_recorder(&recorder);
    let world = World::new(1, 1).await;
    world.store.mischief.send_replace(Mischief { store_fails: 1000, ..Mischief::default() });
    let errors = || sum::<u32>(&recorder, "mintkeep_keeper_store_errors_total", "");
    let before = errors();
    assert_eq!(delete(&world, "/v1/tokens/mini/c1").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(errors(), before + 1);
}
