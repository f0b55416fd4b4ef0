use std::net::{IpAddr, Ipv6Addr};

/// The network that a stranger is known by: one machine easily has a whole IPv6 /48, and an address is somebody's.
pub fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// The same of an address as text. `None`: it is none.
pub(crate) fn network_of(address: &str) -> Option<String> {
    address.parse().ok().map(|address| network(address).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_tells_nobody_apart() {
        assert_eq!(network_of("10.1.2.3").as_deref(), Some("10.1.2.0"));
        assert_eq!(network_of("2001:db8:1:2::3").as_deref(), Some("2001:db8:1::"));
        assert_eq!(network_of("localhost"), None);
    }
}
