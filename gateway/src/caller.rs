use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use uuid::Uuid;

/// The address at the other end of the connection; the listener puts it into each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What names a request in logs, events and errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The caller's `x-request-id`, else one made here.
    pub request_id: String,
    /// W3C trace id: the caller's, else one made here.
    pub trace_id: String,
    /// What the services behind continue.
    pub traceparent: String,
}

const REQUEST_ID_LEN_MAX: usize = 128;

impl Trace {
    /// Takes over what the caller gave, if it is well formed, and makes the rest.
    pub fn of(headers: &HeaderMap) -> Self {
        let request_id = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parse);
        let (trace_id, flags) = match parent {
            Some((trace_id, flags)) => (trace_id.to_owned(), flags),
            None => (Uuid::new_v4().simple().to_string(), "00"),
        };
        let span_id = &Uuid::new_v4().simple().to_string()[..16];
        let traceparent = format!("00-{trace_id}-{span_id}-{flags}");
        let request_id = request_id.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        Self { request_id, trace_id, traceparent }
    }
}

/// Where a request comes from: the peer, or what the trusted proxies in front say.
pub fn source(peer: Option<SocketAddr>, headers: &HeaderMap, forwarded_hops: usize) -> Option<IpAddr> {
    let peer = peer.map(|peer| peer.ip().to_canonical());
    if forwarded_hops == 0 {
        return peer;
    }
    // Each trusted proxy appends the address it saw; what lies further left is the caller's own invention.
    let headers = headers.get_all("x-forwarded-for");
    let addresses: Vec<&str> = headers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let forwarded = addresses.len().checked_sub(forwarded_hops).and_then(|at| addresses[at].parse::<IpAddr>().ok());
    forwarded.map(|address| address.to_canonical()).or(peer)
}

/// The network a stranger is counted under: one machine easily has a whole IPv6 /48.
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

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_LEN_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Trace id and flags of a `traceparent` of version 00.
fn parse(traceparent: &str) -> Option<(&str, &str)> {
    let mut parts = traceparent.split('-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_valid = version == "00"
        && parts.next().is_none()
        && is_hex(trace_id, 32)
        && is_hex(span_id, 16)
        && is_hex(flags, 2)
        && is_set(trace_id)
        && is_set(span_id);
    is_valid.then_some((trace_id, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_callers_own_ids_are_kept() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Trace::of(&headers(&[("x-request-id", "r-1"), ("traceparent", traceparent)]));
        assert_eq!((trace.request_id.as_str(), trace.trace_id.as_str()), ("r-1", "0af7651916cd43dd8448eb211c80319c"));
        assert!(trace.traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(trace.traceparent.ends_with("-01"));
        assert_ne!(trace.traceparent, traceparent, "the gateway's span is another one");
    }

    #[test]
    fn ids_that_are_absent_or_malformed_are_made() {
        let long = "x".repeat(REQUEST_ID_LEN_MAX + 1);
        for (id, parent) in [
            ("", ""),
            (long.as_str(), "00-00000000000000000000000000000000-b7ad6b7169203331-01"),
            ("a b", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("a", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ] {
            let trace = Trace::of(&headers(&[("x-request-id", id), ("traceparent", parent)]));
            assert!(id == "a" || trace.request_id.parse::<Uuid>().is_ok(), "{id}");
            assert!(!parent.contains(&trace.trace_id), "{parent}");
            assert_eq!(trace.trace_id.len(), 32);
        }
    }

    #[test]
    fn forwarded_addresses_are_believed_only_as_far_as_configured() {
        let peer: SocketAddr = "[::ffff:10.0.0.1]:9".parse().unwrap();
        let headers = headers(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3")]);
        let source = |hops| source(Some(peer), &headers, hops).unwrap().to_string();
        assert_eq!(source(0), "10.0.0.1");
        assert_eq!(source(1), "3.3.3.3");
        assert_eq!(source(2), "2.2.2.2");
        assert_eq!(source(9), "10.0.0.1");
    }

    #[test]
    fn strangers_are_counted_by_network() {
        assert_eq!(network("10.1.2.3".parse().unwrap()).to_string(), "10.1.2.0");
        assert_eq!(network("2001:db8:1:2::3".parse().unwrap()).to_string(), "2001:db8:1::");
    }
}
