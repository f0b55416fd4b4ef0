use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_contract::cairn::auth::v1::SealSourceAddressResponse;
use cairn_service::guard;
use cairn_service::telemetry::TRACEPARENT;
use http::uri::PathAndQuery;
use moka::future::Cache;
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tracing::warn;

use crate::authn::Known;
use crate::caller::Trace;
use crate::forward::put;
use crate::upstream::{Call, Upstream};

const SEAL: &str = "/cairn.auth.v1.SourceAddressService/SealSourceAddress";
/// How long a request waits for it. Sealing takes less than a millisecond; who keeps the keys may be away.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where callers come from, as it may be written down: sealed by auth for each of them, and remembered, so that only the
/// first request from an address waits for it.
pub struct Sources {
    upstream: Upstream,
    sealed: Cache<(String, IpAddr), Arc<str>>,
}

impl Sources {
    pub fn new(upstream: Upstream, remembered_max: u64) -> Self {
        Self { upstream, sealed: Cache::new(remembered_max) }
    }

    /// A caller's address, sealed. `None`: it could not be, and nothing of it is written down; a request is not held up
    /// by that.
    pub async fn sealed(&self, known: &Known, source: IpAddr, trace: &Trace) -> Option<Arc<str>> {
        let key = (known.principal.name.clone(), source);
        let sealed = self.sealed.try_get_with(key, self.seal(known, source, trace)).await;
        sealed
            .inspect_err(|status| {
                let principal = &known.principal.name;
                warn!(principal, code = ?status.code(), cause = status.message(), "an address could not be sealed");
            })
            .ok()
    }

    async fn seal(&self, known: &Known, source: IpAddr, trace: &Trace) -> Result<Arc<str>, Status> {
        let mut metadata = MetadataMap::new();
        // A call of its own, with an id of its own: the request has one line in the log.
        put(&mut metadata, TRACEPARENT, &trace.parent.to_string());
        put(&mut metadata, guard::PRINCIPAL, &known.token);
        put(&mut metadata, guard::SOURCE, &source.to_string());
        let call = Call { path: PathAndQuery::from_static(SEAL), metadata, timeout: Some(PATIENCE) };
        let answered = self.upstream.unary(call, Bytes::new());
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        let answer = answered.map_err(|_| Status::deadline_exceeded("it took too long"))??.into_inner();
        let answer = SealSourceAddressResponse::decode(answer).map_err(|fault| Status::internal(fault.to_string()))?;
        Ok(answer.sealed_address.into())
    }
}
