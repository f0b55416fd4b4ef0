use std::convert::Infallible;

use cairn_contract::Contract;
use http::{Request, Response};
use tonic::body::Body;
use tower::{ServiceBuilder, ServiceExt};

use super::{Balance, Config, DeadlineLayer, Outgoing, RetryLayer};

/// A transport for calls that are passed on as they came, with the principal that they came with.
#[derive(Clone)]
pub struct Passing {
    contract: &'static Contract,
    answered: Outgoing,
    /// Streams last as long as their caller wants.
    streaming: Outgoing,
}

impl Passing {
    /// To `upstream`.
    pub fn new(config: &Config, upstream: &'static str, balance: Balance, contract: &'static Contract) -> Self {
        let attempts = ServiceBuilder::new().layer(RetryLayer::new(config, upstream, contract)).service(balance);
        let answered = ServiceBuilder::new().layer(DeadlineLayer::new(config)).service(attempts.clone());
        Self { contract, answered: Outgoing::new(answered), streaming: Outgoing::new(attempts) }
    }

    /// Passes a call on.
    pub async fn pass(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let is_stream = self
            .contract
            .method(request.uri().path())
            .is_some_and(|method| method.descriptor.is_client_streaming() || method.descriptor.is_server_streaming());
        match is_stream {
            true => self.streaming.oneshot(request).await,
            false => self.answered.oneshot(request).await,
        }
    }
}
