use std::sync::Arc;

use axum::body::Body;
use cairn_access::Access;
use cairn_contract::Contract;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service};

use crate::edge::Edge;
use crate::upstream::Upstream;
use crate::{Config, server};

/// The edge of a deployment: an HTTP port and a gRPC port in front of the same guarded services.
#[derive(Clone)]
pub struct Gateway {
    edge: Arc<Edge>,
}

impl Gateway {
    /// Puts a gateway in front of `upstream`, or lists what keeps it from starting.
    pub fn new<S>(
        config: Config,
        contract: &'static Contract,
        access: Arc<Access>,
        upstream: S,
    ) -> Result<Self, Vec<String>>
    where
        S: Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let upstream = Upstream::new(upstream, config.answer_bytes_max);
        Ok(Self { edge: Arc::new(Edge::new(config, contract, access, upstream)?) })
    }

    /// Serves HTTP until `shutdown`, then finishes what it accepted.
    pub async fn serve_http(&self, listener: TcpListener, shutdown: CancellationToken) {
        let gateway = self.clone();
        let answer = move |request| {
            let gateway = gateway.clone();
            async move { gateway.answer(request).await }
        };
        server::serve(listener, &self.edge.config, shutdown, answer).await;
    }

    /// Answers one HTTP request, as the HTTP port does.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.edge.answer(request).await
    }
}
