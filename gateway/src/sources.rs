use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_contract::cairn::auth::v1::SealSourceAddressResponse;
use cairn_service::guard;
use cairn_service::telemetry::TRACEPARENT;
use http::uri::PathAndQuery;
use moka::future::Cache;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tracing::warn;

use crate::authn::Known;
use crate::caller::Trace;
use crate::forward::put;
use crate::upstream::{Call, Upstream};

const SEAL: &str = "/cairn.auth.v1.SourceAddressService/SealSourceAddress";
/// How long a request waits for it. Sealing takes less than a millisecond; who keeps the keys may be away.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long nobody is asked again after auth could not: a keeper of keys that is away holds up one request at a time, and not all.
const PAUSE: Duration = Duration::from_secs(5);

/// Where callers come from, as it may be written down: sealed by auth for each of them, and remembered, so that only the
/// first request from an address waits for it.
pub struct Sources {
    upstream: Upstream,
    sealed: Cache<(String, IpAddr), Arc<str>>,
    /// Until when it is not tried.
    paused: Mutex<Option<Instant>>,
}

impl Sources {
    pub fn new(upstream: Upstream, remembered_max: u64) -> Self {
        Self { upstream, sealed: Cache::new(remembered_max), paused: Mutex::default() }
    }

    /// A caller's address, sealed. `None`: it could not be, and nothing of it is written down; the request goes on.
    pub async fn sealed(&self, known: &Known, source: IpAddr, trace: &Trace) -> Option<Arc<str>> {
        let key = (known.principal.name.clone(), source);
        if self.is_paused() {
            return self.sealed.get(&key).await;
        }
        let sealed = self.sealed.try_get_with(key, self.seal(known, source, trace)).await;
        sealed
            .inspect_err(|status| {
                let principal = &known.principal.name;
                warn!(principal, code = ?status.code(), cause = status.message(), "an address could not be sealed");
                if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) {
                    *self.paused.lock() = Some(Instant::now() + PAUSE);
                }
            })
            .ok()
    }

    fn is_paused(&self) -> bool {
        self.paused.lock().is_some_and(|until| Instant::now() < until)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cairn_kernel::{Principal, PrincipalKind};
    use http::HeaderMap;
    use tower::service_fn;

    use super::*;

    /// Sources before an auth that answers every call with this code, and how often it was called.
    fn before(code: Code) -> (Sources, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let auth = service_fn(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, Status>(Status::new(code, "no").into_http()) }
        });
        (Sources::new(Upstream::new(auth, 1 << 20), 10), calls)
    }

    async fn ask(sources: &Sources, who: &str) -> Option<Arc<str>> {
        let principal = Principal { name: who.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] };
        let known = Known { principal, token: "t".into() };
        sources.sealed(&known, IpAddr::from([10, 0, 0, 7]), &Trace::of(&HeaderMap::new())).await
    }

    #[tokio::test]
    async fn an_auth_that_cannot_seal_is_left_alone_for_a_while_and_then_asked_again() {
        let (sources, calls) = before(Code::Unavailable);
        assert_eq!((ask(&sources, "users/ada").await, ask(&sources, "users/bob").await), (None, None));
        assert_eq!(calls.load(Ordering::Relaxed), 1, "nobody else waits for it");
        *sources.paused.lock() = Some(Instant::now());
        assert_eq!((ask(&sources, "users/bob").await, calls.load(Ordering::Relaxed)), (None, 2));
    }

    #[tokio::test]
    async fn that_it_refuses_one_says_nothing_of_the_others() {
        let (sources, calls) = before(Code::Unauthenticated);
        assert_eq!((ask(&sources, "users/gone").await, ask(&sources, "users/bob").await), (None, None));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
