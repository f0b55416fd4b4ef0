//! Where a call goes: to a role of this process, or to one of others.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use cairn_contract::Contract;
use cairn_service::InProcess;
use cairn_service::outgoing::Passing;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

use super::peers::Elsewhere;

/// Sends each call to the role that answers it. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    contract: &'static Contract,
    here: InProcess,
    elsewhere: Arc<BTreeMap<&'static str, Passing>>,
}

impl Dispatch {
    /// What is not `elsewhere` is here.
    pub fn new(contract: &'static Contract, here: InProcess, elsewhere: &[Elsewhere]) -> Self {
        let elsewhere = elsewhere.iter().map(|peers| (peers.role.name(), peers.calls.clone())).collect();
        Self { contract, here, elsewhere: Arc::new(elsewhere) }
    }
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.here.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = self.contract.method(request.uri().path());
        match method.and_then(|method| self.elsewhere.get(method.role())) {
            Some(peers) => peers.clone().pass(request).boxed(),
            None => self.here.call(request).boxed(),
        }
    }
}
