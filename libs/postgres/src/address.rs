//! What a URL says: where the database is, as whom to log in, and how much to trust the line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long what was sent may stay unacknowledged before a line counts as dead.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// How the server's certificate is looked at. PostgreSQL's own words, with its meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// No TLS.
    Disable,
    /// TLS if the server offers it, with whatever certificate.
    Prefer,
    /// TLS with whatever certificate.
    Require,
    /// TLS with a certificate that an authority has signed.
    VerifyCa,
    /// The same, and it is the host's.
    VerifyFull,
}

/// A parsed URL.
#[derive(Clone)]
pub struct Address {
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    /// File of authorities; otherwise the system's.
    pub(crate) authorities: Option<PathBuf>,
    /// A pooler that gives a connection away with every transaction stands between.
    pub(crate) is_pooled: bool,
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err("has a sslmode that is none of disable, prefer, require, verify-ca, verify-full".to_owned()),
        }
    }
}

impl Address {
    /// Reads a URL. What is wrong is said without the URL, because a password is in it.
    pub fn parse(url: &str) -> Result<Self, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("must begin with postgres://".to_owned());
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut trust, mut authorities, mut is_pooled) = (None, None, false);
        // The rest is for the driver, which refuses what it does not know.
        let mut rest = vec![];
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8().map_err(|_| format!("has a {key} that is no text"))?;
            match key {
                "sslmode" => trust = Some(value.parse()?),
                "sslrootcert" => authorities = Some(PathBuf::from(&*value)).filter(|_| value != "system"),
                "pgbouncer" => {
                    is_pooled = value.parse().map_err(|_| "says pgbouncer= and neither true nor false".to_owned())?;
                }
                _ => rest.push(pair),
            }
        }
        let question = if rest.is_empty() { "" } else { "?" };
        let known = format!("{place}{question}{}", rest.join("&"));
        let mut config = Config::from_str(&known).map_err(|fault| reason(&fault))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("names no host".to_owned());
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err("names no user".to_owned());
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err("names no database".to_owned());
        }
        // The server offers no TLS on a socket of the machine, and needs none.
        let is_local =
            config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) && config.get_hostaddrs().is_empty();
        let trust = if is_local { Trust::Disable } else { trust.unwrap_or(Trust::Prefer) };
        config.ssl_mode(match trust {
            Trust::Disable => SslMode::Disable,
            Trust::Prefer => SslMode::Prefer,
            Trust::Require | Trust::VerifyCa | Trust::VerifyFull => SslMode::Require,
        });
        if config.get_application_name().is_none() {
            config.application_name("cairn");
        }
        config.tcp_user_timeout(UNACKNOWLEDGED_MAX).keepalives_idle(KEEPALIVE_IDLE);
        Ok(Self { config, trust, authorities, is_pooled })
    }
}

/// What the driver does not understand. It names options, never their values.
fn reason(fault: &tokio_postgres::Error) -> String {
    let why = std::error::Error::source(fault).map(ToString::to_string);
    format!("cannot be read: {}", why.unwrap_or_else(|| fault.to_string()))
}

/// Who and where, without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@", self.config.get_user().unwrap_or_default())?;
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match host {
                Host::Tcp(host) => write!(f, "{comma}{host}")?,
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            if let Some(port) = ports.get(at).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(url).unwrap_or_else(|problem| panic!("{url} {problem}"))
    }

    #[test]
    fn a_url_says_how_far_the_line_is_trusted() {
        for (query, trust) in [
            ("", Trust::Prefer),
            ("?sslmode=disable", Trust::Disable),
            ("?sslmode=require&application_name=x", Trust::Require),
            ("?sslmode=verify-ca", Trust::VerifyCa),
            ("?sslmode=verify-full", Trust::VerifyFull),
        ] {
            assert_eq!(parsed(&format!("postgres://ada@host/db{query}")).trust, trust, "{query}");
        }
        assert_eq!(parsed("postgresql://ada@%2Frun%2Fpg/db?sslmode=require").trust, Trust::Disable);
    }

    #[test]
    fn files_and_poolers_are_ours_to_read_and_the_rest_is_the_drivers() {
        let address = parsed("postgres://ada@host/db?sslrootcert=%2Fetc%2Fca.pem&pgbouncer=true&connect_timeout=3");
        assert_eq!((address.authorities, address.is_pooled), (Some("/etc/ca.pem".into()), true));
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(parsed("postgres://ada@host/db?sslrootcert=system").authorities, None);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "mysql://ada:hunter2@host/db",
            "postgres://ada:hunter2@host/db?sslmode=maybe",
            "postgres://ada:hunter2@host/db?colour=hunter2",
            "postgres://ada:hunter2@host:hunter2/db",
            "postgres://ada:hunter2@host/",
            "postgres://:hunter2@host/db",
            "postgres://host/db",
            "postgres://ada:hunter2@/db",
            "postgres://ada:hunter2@host/db?pgbouncer=hunter2",
        ] {
            let problem = Address::parse(url).err().unwrap_or_else(|| panic!("{url} was read"));
            assert!(!problem.contains("hunter2"), "{url}: {problem}");
        }
    }

    #[test]
    fn it_is_shown_without_the_password() {
        let address = parsed("postgres://ada:hunter2@one:5433,two/db?sslmode=require");
        assert_eq!(address.to_string(), "ada@one:5433,two:5432/db");
        assert!(!format!("{:?}", address.config).contains("hunter2"));
    }
}
