//! What befalls a database server.

use std::process::Command;

use crate::server::Server;

/// The answer to one question, in SQL, as `psql` prints it.
pub fn sql(server: &Server, database: &str, question: &str) -> String {
    let asked =
        server.program("psql").args(["-X", "-A", "-t", "-d", database, "-c", question]).output().unwrap();
    assert!(asked.status.success(), "{question}: {asked:?}");
    String::from_utf8(asked.stdout).unwrap().trim().to_owned()
}

/// All of a server's processes, the first one first.
pub struct Processes(Vec<String>);

impl Processes {
    /// As they are now.
    pub fn of(server: &Server) -> Self {
        let folder = sql(server, "postgres", "SHOW data_directory");
        let file = std::fs::read_to_string(format!("{folder}/postmaster.pid")).unwrap();
        let first = file.lines().next().unwrap().to_owned();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        Self(std::iter::once(first).chain(children.split_whitespace().map(ToOwned::to_owned)).collect())
    }

    /// Sends a signal to each that is still there.
    pub fn signal(&self, name: &str) {
        let _some_may_be_gone = Command::new("kill").arg(format!("-{name}")).args(&self.0).output().unwrap();
    }
}
