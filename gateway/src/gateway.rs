use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::{MethodRouter, get};
use cairn_access::Access;
use cairn_contract::Contract;
use cairn_service::allowance::Shared;
use cairn_service::tls::{self, Reloading};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service, ServiceExt, service_fn};

use crate::authn::Origin;
use crate::edge::Edge;
use crate::grpc::Passage;
use crate::upstream::Upstream;
use crate::{Config, html, manners, server, web};

/// The edge of a deployment: an HTTP port and a gRPC port in front of the same guarded services. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    edge: Arc<Edge>,
    passage: Passage,
    pages: axum::Router,
    http: axum::Router,
}

impl Gateway {
    /// Puts a gateway in front of `upstream`, or lists what keeps it from starting. `origin` is where pages of ours come
    /// from.
    pub fn new<S>(
        config: Config,
        contract: &'static Contract,
        access: Arc<Access>,
        upstream: S,
        origin: Origin,
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
        let edge = Arc::new(Edge::new(config, contract, access, upstream, origin)?);
        let passage = Passage::new(Arc::clone(&edge)).map_err(|fault| vec![fault])?;
        let gateway = Self { edge, passage, pages: axum::Router::new(), http: axum::Router::new() };
        Ok(gateway.assembled())
    }

    /// Counts callers' requests together with other replicas from now on.
    pub fn share_limits(&self, shared: Shared) {
        self.edge.rates().share(shared);
    }

    /// Remembers from now on what callers have changed, so that their next reads see it: for processes behind that each have
    /// views of their own.
    pub fn remember_changes(&self) {
        self.edge.changes.remember();
    }

    /// What both ports are encrypted with, if they are: it must be kept an eye on, and tells of its health.
    pub fn certificate(&self) -> Option<Arc<Reloading<tls::Server>>> {
        self.edge.certificate.clone()
    }

    /// How often it should be looked whether it has changed.
    pub fn certificate_pause(&self) -> Duration {
        Duration::from_millis(self.edge.config.tls_reload_ms)
    }

    /// Adds a page of the process itself, outside the contract and open to everybody: health, metrics, the docs.
    pub fn with_page<F>(mut self, path: &str, page: F) -> Self
    where
        F: Fn(&HeaderMap) -> Response<Body> + Clone + Send + Sync + 'static,
    {
        let page: MethodRouter = get(move |headers: HeaderMap| {
            let answered = page(&headers);
            async move { html::with_policy(answered).await }
        });
        self.pages = self.pages.route(path, page);
        self.assembled()
    }

    /// Takes over what may change while the gateway serves: how often callers may ask.
    pub fn reload(&self, config: &Config) -> Result<(), Vec<String>> {
        self.edge.set_rates(config)
    }

    fn assembled(mut self) -> Self {
        let (edge, passage) = (Arc::clone(&self.edge), self.passage.clone());
        let answer = service_fn(move |request: Request<Body>| {
            let (edge, passage) = (Arc::clone(&edge), passage.clone());
            async move {
                let answered = if web::speaks(&request) {
                    web::answer(&passage, request).await
                } else {
                    edge.answer(request).await
                };
                Ok::<_, Infallible>(answered)
            }
        });
        self.http = manners::applied(self.pages.clone().fallback_service(answer), &self.edge.config);
        self
    }

    /// Answers one HTTP request, as the HTTP port does.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let Ok(response) = self.http.clone().oneshot(request).await;
        response
    }

    /// Serves HTTP until `shutdown`, then lets open requests finish. Drop the future to cut them off.
    pub async fn serve_http(&self, listener: TcpListener, shutdown: CancellationToken) {
        let gateway = self.clone();
        let answer = move |request| {
            let gateway = gateway.clone();
            async move { gateway.answer(request).await }
        };
        self.serve(listener, shutdown, answer).await;
    }

    /// Serves gRPC until `shutdown`, then lets open calls finish. Drop the future to cut them off.
    pub async fn serve_grpc(&self, listener: TcpListener, shutdown: CancellationToken) {
        let passage = self.passage.clone();
        let answer = move |request| {
            let passage = passage.clone();
            async move { passage.answer(request).await }
        };
        self.serve(listener, shutdown, answer).await;
    }

    async fn serve<A, F>(&self, listener: TcpListener, shutdown: CancellationToken, answer: A)
    where
        A: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let closing = self.edge.closing.clone();
        let serving = server::serve(listener, &self.edge.config, self.certificate(), shutdown.clone(), answer);
        let close = async {
            shutdown.cancelled().await;
            closing.cancel();
        };
        tokio::join!(serving, close);
    }
}
