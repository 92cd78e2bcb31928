//! Every replica is restarted, one after the other, behind a plain proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use crate::client::Client;
use crate::load::Load;
use crate::patience::until;
use crate::site::{Replica, migrate, new_database};

/// An nginx that sends each request to the next replica in turn, and to the other one if that is not there.
struct Proxy {
    child: Child,
    issuer: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
}

/// An address on which nobody listens.
fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, crate::port::free()).into()
}

impl Proxy {
    fn before(replicas: &[Replica]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (issuer, admin) = (free_address(), free_address());
        let upstream = |name: &str, address: fn(&Replica) -> SocketAddr| {
            let [first, second] = [&replicas[0], &replicas[1]].map(address);
            format!("upstream {name} {{ server {first} max_fails=0; server {second} max_fails=0; }}\n")
        };
        let server = |name: &str, address: SocketAddr| {
            format!("server {{ listen {address}; location / {{ proxy_pass http://{name}; }} }}\n")
        };
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"));
        let text = format!(
            "daemon off;\npid nginx.pid;\nerror_log error.log;\nworker_processes 1;\nevents {{ worker_connections 512; }}\n\
             http {{\naccess_log off;\nproxy_next_upstream error timeout non_idempotent;\n{}{}{}{}{}}}\n",
            paths.concat(),
            upstream("issuers", |replica| replica.issuer),
            upstream("admins", |replica| replica.admin),
            server("issuers", issuer),
            server("admins", admin),
        );
        std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
        // It is no program of every user's: their paths may lack its folder.
        let there = std::path::Path::new("/usr/sbin/nginx");
        let mut nginx = Command::new(if there.exists() { there } else { std::path::Path::new("nginx") });
        nginx.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]).stdin(Stdio::null());
        let child = nginx.spawn().expect("nginx is missing: apt-get install nginx-light");
        let proxy = Self { child, issuer, admin, folder };
        until("nginx", || Client::connect(issuer).and(Client::connect(admin)).ok());
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _told = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ended = self.child.wait();
    }
}

#[test]
fn replicas_that_are_restarted_one_after_the_other_behind_a_proxy_fail_no_request() {
    let url = new_database();
    migrate(&url);
    let homes = [(); 2].map(|()| [free_address(), free_address()]);
    let mut replicas = Vec::from(homes.map(|home| Replica::start_at(&url, home)));
    let proxy = Proxy::before(&replicas);
    let load = Load::new(&replicas);
    *load.doors.0.lock().unwrap() = vec![(proxy.issuer, proxy.admin)];
    load.during(|| {
        for _round in 0..2 {
            for (place, home) in homes.iter().enumerate() {
                load.await_acknowledged(40);
                replicas.remove(place).stop();
                replicas.insert(place, Replica::start_at(&url, *home));
            }
        }
        load.await_acknowledged(40);
    });
    let log = std::fs::read_to_string(proxy.folder.path().join("error.log")).unwrap();
    let failed = load.put_off.load(Ordering::SeqCst);
    assert_eq!(failed, 0, "requests failed: {:?}\n{log}", load.last_put_off.lock().unwrap());
    load.check(&replicas);
    replicas.into_iter().for_each(Replica::stop);
}
