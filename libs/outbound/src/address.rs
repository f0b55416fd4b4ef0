use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::{AddressFault, Allowed};

/// Longest address, in characters.
const CHARS_MAX: usize = 2000;

/// Where requests go. Shown by its origin alone: path and query may hold a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Reads an address. One that names a private address itself is refused at once; a name is judged when it resolves.
    pub fn parse(text: &str, allowed: &Allowed) -> Result<Self, AddressFault> {
        if text.chars().count() > CHARS_MAX {
            return Err(AddressFault::Long(CHARS_MAX));
        }
        let mut url = Url::parse(text.trim()).map_err(|fault| AddressFault::Malformed(fault.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressFault::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressFault::User);
        }
        let host = host(&url).ok_or_else(|| AddressFault::Malformed("it names no host".to_owned()))?;
        // Reading has turned whatever means an address, 0x7f.1 or 2130706433, into one.
        if let Ok(address) = host.parse::<IpAddr>()
            && !allowed.admits(&host, address)
        {
            return Err(AddressFault::Private(address.to_string()));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// All of it. Named so that each use is seen.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn url(&self) -> Url {
        self.0.clone()
    }

    pub(crate) fn host(&self) -> String {
        host(&self.0).unwrap_or_default()
    }
}

fn host(url: &Url) -> Option<String> {
    url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()).filter(|host| !host.is_empty())
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressFault> {
        Address::parse(text, &Allowed::nothing())
    }

    #[test]
    fn however_a_private_address_is_spelled_it_is_refused() {
        for text in [
            "http://127.0.0.1/x",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]:80/",
            "http://[::ffff:169.254.169.254]/",
            "http://169.254.169.254/latest/meta-data",
            "https://[fd00::1]/",
            "http://①②⑦.0.0.1/",
        ] {
            assert!(matches!(parse(text), Err(AddressFault::Private(_))), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn only_http_is_spoken_and_nobody_is_named() {
        assert_eq!(parse("ftp://example.org/"), Err(AddressFault::Scheme("ftp".into())));
        assert_eq!(parse("file:///etc/passwd"), Err(AddressFault::Scheme("file".into())));
        assert_eq!(parse("https://ada:pw@example.org/"), Err(AddressFault::User));
        assert!(matches!(parse("example.org"), Err(AddressFault::Malformed(_))));
    }

    #[test]
    fn an_address_shows_its_origin_alone() {
        let address = parse("https://hooks.example.org:8443/services/T0/secret?key=1#x").unwrap();
        assert_eq!(address.origin(), "https://hooks.example.org:8443");
        assert_eq!(format!("{address:?}"), "https://hooks.example.org:8443");
        assert_eq!(address.expose(), "https://hooks.example.org:8443/services/T0/secret?key=1");
    }
}
