//! Calls to other processes: as whom, until when, how often, and when not to bother.
//!
//! Layers around a channel, each of use alone. [`stack`] puts them in the order that makes sense: a call has one
//! deadline for all its attempts, every attempt counts for the circuit, and a retry is a new attempt.

mod attempt;
mod backoff;
mod circuit;
mod config;
mod deadline;
mod identity;
mod retry;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cairn_access::Access;
use cairn_contract::Contract;
use cairn_kernel::Principal;
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

pub use self::circuit::CircuitLayer;
pub use self::config::Config;
pub use self::deadline::DeadlineLayer;
pub use self::identity::IdentityLayer;
pub use self::retry::RetryLayer;

/// A transport for generated clients. It answers every call: what cannot be reached answers `UNAVAILABLE`.
pub type Outgoing = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A transport to `upstream`, which calls as `principal`.
pub fn stack(
    config: &Config,
    upstream: &'static str,
    channel: Channel,
    contract: &'static Contract,
    access: Arc<Access>,
    principal: Principal,
) -> Outgoing {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(config))
        .layer(IdentityLayer::new(access, principal))
        .layer(RetryLayer::new(config, upstream, contract))
        .layer(CircuitLayer::new(config, upstream))
        .service(attempt::Attempt::new(channel));
    BoxCloneSyncService::new(service)
}

/// A channel to some addresses of one role, connected when it is first used; calls are spread over those that answer.
pub fn channel(config: &Config, addresses: &[String]) -> Result<Channel, tonic::transport::Error> {
    let endpoints: Result<Vec<Endpoint>, _> = addresses
        .iter()
        .map(|address| {
            let endpoint = Endpoint::from_shared(address.clone())?;
            Ok(endpoint
                .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                .http2_keep_alive_interval(Duration::from_millis(config.keep_alive_ms))
                .keep_alive_while_idle(true)
                .tcp_nodelay(true))
        })
        .collect();
    let endpoints = endpoints?;
    // Alone it fails at once when it cannot be reached. Among others, calls wait for one that can.
    match endpoints.as_slice() {
        [alone] => Ok(alone.connect_lazy()),
        _ => Ok(Channel::balance_list(endpoints.into_iter())),
    }
}
