//! A keeper that is told to stop.

use std::sync::Arc;
use std::time::Duration;

use mintkeep_protocol::ident::CustomerId;
use mintkeep_protocol::keep::slot::Upkeep;

use crate::gate::Mischief;
use crate::world::{CUSTOMERS, World};

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_store_with_an_answer_that_will_not_come_again() {
    for seed in 1..=8 {
        let mut world = World::new(seed, 1).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (keeper, account) = (Arc::clone(&world.processes[0].keeper), world.account(0, "hk"));
        let customer = CustomerId::parse(CUSTOMERS[0]).unwrap();
        let (arrived, whose) = (world.platform.arrived("hk"), Some(customer.clone()));
        world.spawn(async move { drop(keeper.refresh(&account, whose.as_ref()).await) });
        while world.platform.arrived("hk") == arrived {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let store = |store_fails| {
            world.store.mischief.send_replace(Mischief { store_fails, ..Mischief::default() });
        };
        store(1_000);
        let back = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            store(0);
        };
        let (stopped, ()) = tokio::join!(world.stop(0, Duration::from_secs(25)), back);
        assert_eq!(stopped, Ok(()), "seed {seed}: it ends once the answer is kept");
        world.restart(0).await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        let account = world.account(0, "hk");
        let upkeep = world.processes[0].keeper.leaf(&account, Some(&customer)).unwrap().upkeep;
        assert!(matches!(upkeep, Upkeep::Idle { .. }), "seed {seed}: {upkeep:?}");
        world.check().await;
    }
}
