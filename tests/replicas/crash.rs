//! A replica is killed under load, and the callers go on at the other.

use crate::load::{Doors, Load};
use crate::site::{Replica, migrate, new_database};

#[test]
fn a_replica_that_is_killed_under_load_takes_nothing_acknowledged_along() {
    let url = new_database();
    migrate(&url);
    let [first, second]: [Replica; 2] = Replica::start_all(&url);
    let replicas = [first, second];
    let load = Load::new(&replicas);
    let [mut first, second] = replicas;
    load.during(|| {
        for _round in 0..2 {
            load.await_acknowledged(60);
            first.process.signal("KILL");
            load.await_put_off(5);
            load.await_acknowledged(30);
            first = Replica::start(&url);
            *load.doors.0.lock().unwrap() = Doors::addresses(&[&first, &second]);
        }
        load.await_acknowledged(60);
    });
    let replicas = [first, second];
    load.check(&replicas);
    replicas.into_iter().for_each(Replica::stop);
}
