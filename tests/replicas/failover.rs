//! The primary is killed under load, and its synchronous standby takes over.

use crate::database::{Processes, sql};
use crate::load::Load;
use crate::patience::until;
use crate::server::Server;
use crate::site::{Replica, migrate, new_database_on};

#[test]
fn a_primary_that_is_killed_under_load_loses_nothing_acknowledged_and_callers_are_told_to_come_back() {
    // What is committed without waiting for its flush stays unflushed for long, so that it is lost for sure.
    let primary = Server::start(None, &["wal_writer_delay=10s"]);
    let standby = Server::start(Some(&primary), &[]);
    let database = new_database_on(&primary);
    let name = database.rsplit('/').next().unwrap();
    sql(&primary, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    sql(&primary, "postgres", "SELECT pg_reload_conf()");
    let sync = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    until("a synchronous standby", || (sql(&primary, "postgres", sync) == "1").then_some(()));
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
    let url = format!("postgres://mintkeep@{hosts}/{name}?target_session_attrs=read-write");
    migrate(&url);
    let replicas: [Replica; 2] = Replica::start_all(&url);
    let load = Load::new(&replicas);
    load.during(|| {
        load.await_acknowledged(100);
        Processes::of(&primary).signal("KILL");
        load.await_put_off(20);
        assert_eq!(sql(&standby, "postgres", "SELECT pg_promote()"), "t");
        load.await_acknowledged(100);
    });
    load.check(&replicas);
    replicas.into_iter().for_each(Replica::stop);
}
