//! What a keeper counts, and what of that is told after it is over.

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use mintkeep_protocol::ident::CustomerId;

use crate::world::{CUSTOMERS, World, by, name};

/// The sum of all lines of a metric whose labels have these words.
fn sum(recorder: &PrometheusRecorder, metric: &str, words: &str) -> f64 {
    let text = recorder.handle().render();
    let lines = text.lines().filter(|line| line.starts_with(metric) && line.contains(words));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_renewed_any_more_is_told_no_life() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = ::metrics::set_default_local_recorder(&recorder);
    let world = World::new(1, 1).await;
    let left = |credential: &str| {
        sum(&recorder, "mintkeep_keeper_seconds_to_expiry", &format!("credential=\"{credential}\""))
    };
    let told = Duration::from_mins(3);
    tokio::time::sleep(told).await;
    assert!(left("legacy") > 0.0 && left("mini") > 0.0 && left("hk") > 0.0);

    let (keeper, customer) = (&world.processes[0].keeper, CustomerId::parse(CUSTOMERS[0]).unwrap());
    keeper.remove_credential(&name("legacy"), &by()).await.unwrap();
    keeper.forget(&world.account(0, "mini"), &customer, &by()).await.unwrap();
    tokio::time::sleep(told).await;
    assert!(left("legacy").is_nan() && left("mini").is_nan(), "{} {}", left("legacy"), left("mini"));
    assert!(left("hk") > 0.0);
}
