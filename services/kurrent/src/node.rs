//! What clients ask before anything else: what is served here, and which nodes there are.

use cairn_kernel::Clock;
use std::sync::Arc;

use cairn_kurrent_protocol::gossip::gossip_server::Gossip;
use cairn_kurrent_protocol::gossip::member_info::VNodeState;
use cairn_kurrent_protocol::gossip::{ClusterInfo, EndPoint, MemberInfo};
use cairn_kurrent_protocol::server_features::server_features_server::ServerFeatures;
use cairn_kurrent_protocol::server_features::{SupportedMethod, SupportedMethods};
use cairn_kurrent_protocol::shared::Empty;
use cairn_service::Reply;
use tonic::{Request, Response};
use uuid::Uuid;

use crate::uuids::{self, Form};

/// The version of KurrentDB whose clients find here what they expect of it: one that says when a subscription has caught up,
/// and none that appends to several streams at once.
const VERSION: &str = "24.10.6";

/// What is served, and what of it: in lower case, as clients compare it.
const METHODS: [(&str, &str, &[&str]); 7] = [
    ("event_store.client.gossip.gossip", "read", &[]),
    ("event_store.client.server_features.serverfeatures", "getsupportedmethods", &[]),
    ("event_store.client.streams.streams", "append", &[]),
    ("event_store.client.streams.streams", "batchappend", &["deadline_duration"]),
    ("event_store.client.streams.streams", "delete", &[]),
    ("event_store.client.streams.streams", "read", &["position", "events"]),
    ("event_store.client.streams.streams", "tombstone", &[]),
];

/// The host and the port that a client called, as it says itself: an extension of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    pub host: String,
    pub port: u16,
}

/// One node, which is all there are as far as a client of this process is concerned.
#[derive(Clone)]
pub struct Node {
    pub id: Uuid,
    pub clock: Arc<dyn Clock>,
}

impl Called {
    /// Reads `host:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then_some(())?;
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

#[tonic::async_trait]
impl ServerFeatures for Node {
    async fn get_supported_methods(&self, _: Request<Empty>) -> Reply<SupportedMethods> {
        let methods = METHODS.map(|(service, method, features)| SupportedMethod {
            method_name: method.to_owned(),
            service_name: service.to_owned(),
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        });
        Ok(Response::new(SupportedMethods { methods: methods.into(), event_store_server_version: VERSION.to_owned() }))
    }
}

#[tonic::async_trait]
impl Gossip for Node {
    async fn read(&self, request: Request<Empty>) -> Reply<ClusterInfo> {
        let called = request.extensions().get::<Called>().cloned();
        let member = MemberInfo {
            instance_id: Some(uuids::written(self.id, Form::Text)),
            time_stamp: self.clock.now().micros().saturating_mul(10),
            state: VNodeState::Leader.into(),
            is_alive: true,
            http_end_point: called.map(|called| EndPoint { address: called.host, port: called.port.into() }),
        };
        Ok(Response::new(ClusterInfo { members: vec![member] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_be_served_is_what_the_protocol_has_here() {
        let methods = cairn_kurrent_protocol::contract().unwrap().methods();
        let mut served: Vec<_> =
            methods.iter().map(|method| method.path.trim_start_matches('/').to_lowercase()).collect();
        served.sort();
        let said: Vec<_> = METHODS.iter().map(|(service, method, _)| format!("{service}/{method}")).collect();
        assert_eq!(said, served);
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let called = |text| Called::parse(text).map(|called| (called.host, called.port));
        assert_eq!(called("events.example.org:2113"), Some(("events.example.org".into(), 2113)));
        assert_eq!(called("[::1]:2113"), Some(("::1".into(), 2113)));
        for text in ["events.example.org", ":2113", "a:b", ""] {
            assert_eq!(called(text), None, "{text}");
        }
    }
}
