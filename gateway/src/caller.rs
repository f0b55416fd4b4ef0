use std::net::{IpAddr, SocketAddr};

use cairn_service::telemetry::{TRACEPARENT, Traceparent};
use http::HeaderMap;
use uuid::Uuid;

/// What names a request in logs, events and errors.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The caller's `x-request-id`, else one made here.
    pub request_id: String,
    /// W3C trace context: the caller's, else one made here.
    pub parent: Traceparent,
}

const REQUEST_ID_LEN_MAX: usize = 128;

impl Trace {
    /// Takes over what the caller gave, if it is well formed, and makes the rest.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let parent = text(TRACEPARENT).and_then(|text| text.parse().ok()).unwrap_or_else(Traceparent::fresh);
        let request_id = text("x-request-id").filter(|id| is_plain(id));
        Self { request_id: request_id.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned), parent }
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

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_LEN_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
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
        assert_eq!((trace.request_id.as_str(), trace.parent.to_string().as_str()), ("r-1", traceparent));
    }

    #[test]
    fn ids_that_are_absent_or_malformed_are_made() {
        let long = "x".repeat(REQUEST_ID_LEN_MAX + 1);
        for id in ["", "a b", long.as_str()] {
            let trace = Trace::of(&headers(&[("x-request-id", id), ("traceparent", "00-nonsense")]));
            assert!(trace.request_id.parse::<Uuid>().is_ok(), "{id}");
            assert_eq!(trace.parent.trace_id().len(), 32);
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
}
