use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

/// Where ClickHouse listens for HTTP, if nothing is said.
const PORT: u16 = 8123;
/// Where it listens for HTTPS.
const SECURE_PORT: u16 = 8443;

/// Where a ClickHouse is, and as whom to ask.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
    /// HTTPS.
    pub is_secure: bool,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Address {
    /// Reads `clickhouse://user:password@host:8123/database?secure=true`. What is wrong is said without the URL, because a
    /// password is in it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("clickhouse://").ok_or("must begin with clickhouse://")?;
        // A scheme whose authority is taken apart as people expect it.
        let read = Url::parse(&format!("http://{rest}")).map_err(|fault| format!("cannot be read: {fault}"))?;
        let mut is_secure = false;
        for (key, value) in read.query_pairs() {
            match &*key {
                "secure" => is_secure = value.parse().map_err(|_| "says secure= and neither true nor false")?,
                key => return Err(format!("has an option {key:?} that is not known")),
            }
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let database = match read.path().trim_matches('/') {
            "" => "cairn".to_owned(),
            path => decoded(path),
        };
        let user = Some(decoded(read.username())).filter(|user| !user.is_empty());
        // Port 80 is what the scheme stands for, and is not given: it has to be told from none.
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let port = if authority.ends_with(":80") { Some(80) } else { read.port() };
        let address = Self {
            host: read.host_str().unwrap_or_default().to_owned(),
            port: port.unwrap_or(if is_secure { SECURE_PORT } else { PORT }),
            is_secure,
            user: user.unwrap_or_else(|| "default".to_owned()),
            password: decoded(read.password().unwrap_or_default()),
            database,
        };
        address.check()?;
        Ok(address)
    }

    /// The same with several hosts, `clickhouse://user:password@one:8123,two:8123/database`: each has a part of the points.
    pub fn parse_all(url: &str) -> Result<Vec<Self>, String> {
        let rest = url.strip_prefix("clickhouse://").ok_or("must begin with clickhouse://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
        let at = if login.is_empty() { "" } else { "@" };
        hosts.split(',').map(|host| Self::parse(&format!("clickhouse://{login}{at}{host}{tail}"))).collect()
    }

    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.host.is_empty() || Url::parse(&self.base()).is_err() {
            return Err("names no host".to_owned());
        }
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if self.database.is_empty() || self.database.len() > 60 || !is_name(&self.database) {
            return Err("names a database that is not made of letters, digits and _".to_owned());
        }
        if self.user.contains(':') {
            return Err("names a user with a colon".to_owned());
        }
        if [&self.user, &self.password].iter().any(|text| text.chars().any(char::is_control)) {
            return Err("has a user or a password with control characters".to_owned());
        }
        Ok(())
    }

    /// Where requests go.
    pub(crate) fn base(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}:{}/", self.host, self.port)
    }
}

/// Who and where, without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_who_and_the_rest_has_defaults() {
        for (url, shown, base) in [
            ("clickhouse://ada:p%40ss@one:9999/points", "ada@one:9999/points", "http://one:9999/"),
            ("clickhouse://one", "default@one:8123/cairn", "http://one:8123/"),
            ("clickhouse://one:80/", "default@one:80/cairn", "http://one:80/"),
            ("clickhouse://ada@one?secure=true", "ada@one:8443/cairn", "https://one:8443/"),
            ("clickhouse://[::1]:8123", "default@[::1]:8123/cairn", "http://[::1]:8123/"),
        ] {
            let address = Address::parse(url).unwrap_or_else(|problem| panic!("{url} {problem}"));
            assert_eq!((address.to_string().as_str(), address.base().as_str()), (shown, base));
        }
        assert_eq!(
            Address::parse("clickhouse://ada:p%40ss@one").map(|address| address.password),
            Ok("p@ss".to_owned())
        );
    }

    #[test]
    fn a_url_may_name_several_hosts() {
        let all = Address::parse_all("clickhouse://ada:a,b@one:1,two,[::1]:3/points?secure=false").unwrap();
        let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["ada@one:1/points", "ada@two:8123/points", "ada@[::1]:3/points"]);
        assert!(all.iter().all(|address| address.password == "a,b"));
        assert!(Address::parse_all("clickhouse://ada:hunter2@one,,two").is_err());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "http://ada:hunter2@one",
            "clickhouse://ada:hunter2@",
            "clickhouse://ada:hunter2@one:port",
            "clickhouse://ada:hunter2@one/a-b",
            "clickhouse://ada:hunter2@one?secure=maybe",
            "clickhouse://ada:hunter2@one?colour=hunter2",
            "clickhouse://ada:hunter2%0a@one",
        ] {
            let problem = Address::parse(url).err().unwrap_or_else(|| panic!("{url} was read"));
            assert!(!problem.contains("hunter2"), "{url}: {problem}");
        }
        let shown = format!("{:?}", Address::parse("clickhouse://ada:hunter2@one"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
