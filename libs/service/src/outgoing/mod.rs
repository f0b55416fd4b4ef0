//! Calls to other processes: as whom, until when, how often, and when not to bother.
//!
//! Layers around a balance over the processes of one role, each of use alone. [`stack`] puts them in the order that makes sense: a call has one
//! deadline for all its attempts, every attempt counts for the circuit, and a retry is a new attempt.

mod attempt;
mod backoff;
mod balance;
mod circuit;
mod config;
mod deadline;
mod identity;
mod passing;
mod retry;

use std::convert::Infallible;
use std::sync::Arc;

use cairn_access::Access;
use cairn_contract::Contract;
use cairn_kernel::Principal;
use http::{Request, Response};
use tonic::body::Body;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

pub use self::balance::Balance;
pub use self::circuit::CircuitLayer;
pub use self::config::Config;
pub use self::deadline::DeadlineLayer;
pub use self::identity::IdentityLayer;
pub use self::passing::Passing;
pub use self::retry::RetryLayer;

/// A transport for generated clients. It answers every call: what cannot be reached answers `UNAVAILABLE`.
pub type Outgoing = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A transport to `upstream`, which calls as `principal`.
pub fn stack(
    config: &Config,
    upstream: &'static str,
    balance: Balance,
    contract: &'static Contract,
    access: Arc<Access>,
    principal: Principal,
) -> Outgoing {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(config))
        .layer(IdentityLayer::new(access, principal))
        .layer(RetryLayer::new(config, upstream, contract))
        .layer(CircuitLayer::new(config, upstream))
        .service(balance);
    BoxCloneSyncService::new(service)
}
