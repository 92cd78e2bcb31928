//! The nginx of `docs/gateways.md`: its very block, but for the addresses, before a server and an API.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use tempfile::TempDir;

use super::client::{Answer, Client};
use super::sandbox::{DINGTALK, Folder, dingtalk_token};

const DOC: &str = include_str!("../../docs/gateways.md");

/// The block that the document shows, with the addresses of this test in place of its own.
fn block(issuer: SocketAddr, api: SocketAddr) -> String {
    let (_, rest) = DOC.split_once("```nginx\n").expect("the document has a block");
    let (block, _) = rest.split_once("```").unwrap();
    let mut block = block.to_owned();
    for (shown, real) in [("127.0.0.1:7600", issuer), ("127.0.0.1:9000", api)] {
        assert!(block.contains(shown), "{shown} is not in {block}");
        block = block.replace(shown, &real.to_string());
    }
    block
}

/// An API that answers with the `X-Client` that it was sent, `-` if it was sent none.
fn start_api() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        listener.incoming().map_while(Result::ok).for_each(|asked| answer_api(&asked));
    });
    address
}

fn answer_api(mut asked: &TcpStream) {
    let lines = BufReader::new(asked).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let client = lines
        .filter_map(|line| Some(line.to_ascii_lowercase().strip_prefix("x-client: ")?.to_owned()))
        .last()
        .unwrap_or_else(|| "-".to_owned());
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", client.len());
    let _gone = asked.write_all(format!("{head}{client}").as_bytes());
}

struct Nginx {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Nginx {
    fn start(block: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::port::free()));
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"));
        let text = format!(
            "daemon off;\npid nginx.pid;\nerror_log error.log;\nworker_processes 1;\nevents {{ worker_connections 64; }}\n\
             http {{\naccess_log off;\n{}server {{\nlisten {address};\n{block}}}\n}}\n",
            paths.concat(),
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        // It is no program of every user's: their paths may lack its folder.
        let there = Path::new("/usr/sbin/nginx");
        let mut nginx = Command::new(if there.exists() { there } else { Path::new("nginx") });
        nginx.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]).stdin(Stdio::null());
        let child = nginx.spawn().expect("nginx is missing: apt-get install nginx-light");
        let mut nginx = Self { child, address, folder };
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(nginx.folder.path().join("error.log")).unwrap_or_default();
            assert!(nginx.child.try_wait().unwrap().is_none(), "{}", log());
            park_timeout(Duration::from_millis(10));
        }
        nginx
    }

    fn get(&self, path: &str, headers: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        Client::connect(self.address).unwrap().send(&request).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _told = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ended = self.child.wait();
    }
}

#[test]
fn the_nginx_of_the_document_lets_in_who_has_a_good_token_and_says_whose_it_is() {
    let folder = Folder::new();
    let server = folder.start();
    let nginx = Nginx::start(&block(server.issuer, start_api()));
    let token = server.ask(&dingtalk_token(DINGTALK)).text("/accessToken");
    let other = format!("{}x", token.split_at(token.len() - 1).0);
    #[rustfmt::skip]
    let cases = [
        ("a good one",                format!("Authorization: Bearer {token}\r\n"),                     200),
        ("in DingTalk's header",      format!("x-acs-dingtalk-access-token: {token}\r\n"),              200),
        ("in the wallets' header",    format!("Access-Token: {token}\r\n"),                             200),
        ("beside a made-up client",   format!("Authorization: Bearer {token}\r\nX-Client: boss\r\n"),   200),
        ("a letter off",              format!("Authorization: Bearer {other}\r\n"),                     401),
        ("garbage",                   "Authorization: Bearer abc\r\n".to_owned(),                       401),
        ("none, but a made-up client", "X-Client: boss\r\n".to_owned(),                                 401),
        ("none",                      String::new(),                                                    401),
    ];
    for (case, headers, status) in cases {
        let answer = nginx.get("/api/orders", &headers);
        assert_eq!(answer.status, status, "{case}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.body, DINGTALK.0, "{case}");
        }
    }
    assert_eq!(nginx.get("/authz", &format!("Authorization: Bearer {token}\r\n")).status, 404, "internal");
    server.stop();
    let down = nginx.get("/api/orders", &format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(down.status, 500, "nobody is let in while the issuer can't be asked");
}
