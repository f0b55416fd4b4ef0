use std::path::PathBuf;

use async_nats::ServerAddr;
use cairn_kernel::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

/// The port on which a server's monitoring is usually found.
const MONITORING_PORT: u16 = 8222;

/// Where a NATS is, and how one gets in.
#[derive(Clone, Debug)]
pub struct Address {
    pub servers: Vec<ServerAddr>,
    /// A file of credentials, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// Where its servers' monitoring is asked.
    pub monitoring: Vec<Url>,
}

/// How one gets in, as an address says it.
pub(crate) enum Login {
    Password(String, String),
    Token(String),
}

impl Address {
    /// Reads `nats://user:password@host:4222,…` and the addresses of monitoring, `http://host:8222,…`; none: port 8222 of each
    /// server. What is wrong is said without the text itself: a password may be in it.
    pub fn parse(url: &Secret, credentials: Option<PathBuf>, monitoring: &str) -> Result<Self, String> {
        let server = |text: &str| {
            let wrong = |_| "is no list of addresses such as nats://user:password@host:4222".to_owned();
            text.trim().parse::<ServerAddr>().map_err(wrong)
        };
        let servers = url.expose().split(',').map(server).collect::<Result<Vec<_>, _>>()?;
        let monitoring: Vec<String> = match monitoring.trim() {
            "" => {
                servers.iter().map(|server| format!("http://{}:{MONITORING_PORT}", bracketed(server.host()))).collect()
            }
            list => list.split(',').map(|text| text.trim().to_owned()).collect(),
        };
        let asked = |text: &String| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            _ => Err("leads to a monitoring that is no address such as http://host:8222".to_owned()),
        };
        let monitoring = monitoring.iter().map(asked).collect::<Result<_, _>>()?;
        Ok(Self { servers, credentials, monitoring })
    }

    /// How one gets in, by the first address that says it.
    pub(crate) fn login(&self) -> Option<Login> {
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        self.servers.iter().find_map(|server| match (server.username(), server.password()) {
            (Some(user), Some(password)) => Some(Login::Password(plain(user), plain(password))),
            (Some(token), None) => Some(Login::Token(plain(token))),
            (None, _) => None,
        })
    }

    /// What it is, for those who operate it.
    pub fn place(&self) -> String {
        let server = |server: &ServerAddr| {
            // A token stands where a name does, and is as good as a password.
            let user = server.username().filter(|_| server.password().is_some());
            let user = user.map(|user| format!("{user}@")).unwrap_or_default();
            format!("{user}{}:{}", bracketed(server.host()), server.port())
        };
        format!("NATS JetStream at {}", self.servers.iter().map(server).collect::<Vec<_>>().join(", "))
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, monitoring: &str) -> Result<Address, String> {
        Address::parse(&url.to_owned().into(), None, monitoring)
    }

    #[test]
    fn an_address_says_where_and_not_how_to_get_in() {
        let several = parse("nats://ada:hunter2@one:4223,tls://two", "").unwrap();
        assert_eq!(several.place(), "NATS JetStream at ada@one:4223, two:4222");
        let asked: Vec<_> = several.monitoring.iter().map(Url::as_str).collect();
        assert_eq!(asked, ["http://one:8222/", "http://two:8222/"]);
        assert_eq!(parse("nats://s3cr3t-token@one", "").unwrap().place(), "NATS JetStream at one:4222");
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_shown() {
        for (url, monitoring) in [("http://hunter2@one", ""), ("nats://hunter2@one", "ftp://hunter2@one")] {
            let problem = parse(url, monitoring).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
