//! Which server to ask, and by what right.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Uri;
use mintkeep_protocol::secret::AccessToken;

use super::client::{Client, Failure};
use crate::args::admin_token_of_environment;
use crate::folder::read_text;

/// Where `mintkeep dev` leaves its token, unless it is told another folder.
const TOKEN_FILE: &str = "./mintkeep-data/admin.token";

/// Options of every verb that asks a server.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// Where the server's admin listener is.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "MINTKEEP_ADMIN_URL",
        default_value = "http://127.0.0.1:7800",
        help_heading = "Server"
    )]
    pub admin_url: String,
    /// The file with the admin token; without it `MINTKEEP_ADMIN_TOKEN`, else ./mintkeep-data/admin.token.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub admin_token_file: Option<PathBuf>,
    /// Sends the token unencrypted to a server on another machine.
    #[arg(long, global = true, help_heading = "Server")]
    pub plain_http: bool,
    /// Answers as JSON, for programs.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
}

impl Server {
    /// The way to the server.
    pub fn client(&self) -> Result<Client, Failure> {
        let base = self.base_url()?;
        Ok(Client::new(base, self.token()?, self.json))
    }

    /// The URL without a slash at its end, if the token may be sent there.
    fn base_url(&self) -> Result<String, Failure> {
        let text = self.admin_url.trim_end_matches('/');
        let wrong = || Failure::Usage("--admin-url must be http://HOST:PORT or https://HOST:PORT".to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        match scheme {
            "https" => Ok(text.to_owned()),
            "http" if is_loopback(authority.host()) || self.plain_http => Ok(text.to_owned()),
            "http" => Err(Failure::Usage(
                "the admin token would be sent unencrypted to another machine; use https, or say \
                 --plain-http if the way there is safe"
                    .to_owned(),
            )),
            _ => Err(wrong()),
        }
    }

    fn token(&self) -> Result<AccessToken, Failure> {
        let text = match (&self.admin_token_file, admin_token_of_environment()) {
            (Some(file), _) => {
                token_in(file)?.ok_or_else(|| Failure::Usage(format!("{} is not there", file.display())))?
            }
            (None, Some(text)) => text,
            (None, None) => token_in(Path::new(TOKEN_FILE))?.ok_or_else(|| {
                Failure::Usage(format!(
                    "no admin token: give --admin-token-file, set MINTKEEP_ADMIN_TOKEN, or run this where \
                     {TOKEN_FILE} is"
                ))
            })?,
        };
        let text = text.trim().to_owned();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::Usage("the admin token is empty, or no token at all".to_owned()));
        }
        Ok(AccessToken::new(text))
    }
}

fn token_in(file: &Path) -> Result<Option<String>, Failure> {
    read_text(file).map_err(|error| Failure::Usage(format!("{error:#}")))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_over_tls_or_stays_on_this_machine_unless_told() {
        #[rustfmt::skip]
        let cases = [
            ("http://127.0.0.1:7800",      false, true),
            ("http://127.0.0.1:7800/",     false, true),
            ("http://[::1]:7800",          false, true),
            ("http://localhost:7800",      false, true),
            ("https://mint.example",       false, true),
            ("http://mint.example",        false, false),
            ("http://mint.example",        true,  true),
            ("http://127.0.0.1.example",   false, false),
            ("https://a:b@mint.example",   false, false),
            ("https://mint.example/?x=1",  false, false),
            ("ftp://127.0.0.1",            true,  false),
            ("127.0.0.1:7800",             true,  false),
            ("",                           true,  false),
        ];
        for (url, plain_http, fits) in cases {
            let server =
                Server { admin_url: url.to_owned(), admin_token_file: None, plain_http, json: false };
            assert_eq!(server.base_url().is_ok(), fits, "{url}");
        }
    }
}
