use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// What may be reached although it is private: addresses, by network, and hosts, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    networks: Vec<IpNet>,
    hosts: Vec<String>,
}

/// A text that is neither a network nor a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a network like 10.1.0.0/16, nor an address, nor the name of a host")]
pub struct AllowedFault(String);

impl Allowed {
    /// Nothing private may be reached.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Reads a list as people write it.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowedFault> {
        let mut allowed = Self::default();
        for text in texts {
            match (IpNet::from_str(text), IpAddr::from_str(text)) {
                (Ok(network), _) => allowed.networks.push(network),
                (_, Ok(address)) => allowed.networks.push(IpNet::from(address)),
                _ if is_host(text) => allowed.hosts.push(text.to_ascii_lowercase()),
                _ => return Err(AllowedFault(text.to_owned())),
            }
        }
        Ok(allowed)
    }

    /// Whether a connection to this address may be made for this host.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        let address = plain(address);
        is_public(address)
            || self.networks.iter().any(|network| network.contains(&address))
            || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host.trim_end_matches('.')))
    }
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // What ends in digits would be a slip in an address.
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// The IPv4 address that an IPv6 one carries, if it does: mapped, compatible, 6to4 and NAT64 lead to where that leads.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let parts = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) != (0, 0) && (high, low) != (0, 1) => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// Whether the address is one of the whole internet. Whatever is set aside for anything else is not: loopback, private,
/// shared, link-local (where clouds tell machines their credentials), multicast, documentation, reserved.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_set_aside = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_set_aside
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Only 2000::/3 is given out at all; of that, Teredo, ORCHID and documentation lead nowhere that is meant here.
    let is_global = parts[0] & 0xe000 == 0x2000;
    let is_special = parts[0] == 0x2001 && (parts[1] < 0x0200 || parts[1] == 0x0db8) || parts[0] & 0xfff0 == 0x3ff0;
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &Allowed, address: &str) -> bool {
        allowed.admits("hooks.example.org", address.parse().unwrap())
    }

    #[test]
    fn nothing_that_is_set_aside_is_reached() {
        let nothing = Allowed::nothing();
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!admits(&nothing, address), "{address}");
        }
        for address in
            ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
        {
            assert!(admits(&nothing, address), "{address}");
        }
    }

    #[test]
    fn what_is_allowed_by_network_address_or_name_is_reached_and_nothing_beside_it() {
        let allowed =
            Allowed::parse(["127.0.0.1/32", "10.1.0.0/16", "fd00::/8", "192.168.0.7", "hooks.internal"]).unwrap();
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "fd12::1", "192.168.0.7"] {
            assert!(admits(&allowed, address), "{address}");
        }
        for address in ["127.0.0.2", "10.2.0.1", "fe80::1", "192.168.0.8"] {
            assert!(!admits(&allowed, address), "{address}");
        }
        assert!(allowed.admits("Hooks.Internal.", "10.9.9.9".parse().unwrap()));
    }

    #[test]
    fn a_slip_in_an_address_is_no_host() {
        for text in ["10.0.0.0/33", "10.0.0", "300.1.1.1", "", "a b", "http://a"] {
            assert!(Allowed::parse([text]).is_err(), "{text:?}");
        }
    }
}
