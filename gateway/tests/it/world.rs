//! A gateway, its callers and their keys.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use bytes::Bytes;
use cairn_access::{Access, ApiKey, Change, KeyKind, KeyRecord, Keyring, Standing, World as Policy};
use cairn_contract::Contract;
use cairn_gateway::{Config, Gateway, Origin};
use cairn_kernel::{Position, SystemClock, Time};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::Service;

use crate::things::Things;

pub struct World {
    pub gateway: Gateway,
    pub things: Things,
    pub access: Arc<Access>,
    pub keys: Keys,
}

pub struct Keys {
    pub good: String,
    pub revoked: String,
    pub expired: String,
}

/// An answer that has been read.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault}: {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub fn contract() -> &'static Contract {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut compiler = protox::Compiler::new([format!("{root}/tests/proto"), format!("{root}/../proto")]).unwrap();
        compiler.include_imports(true).include_source_info(true);
        compiler.open_file("cairn/things/v1/things.proto").unwrap();
        Contract::decode(&compiler.encode_file_descriptor_set()).unwrap_or_else(|faults| panic!("{faults}"))
    });
    &CONTRACT
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let things = Things::new(contract().pool().clone());
        Self::before(config, things.clone(), things)
    }

    /// With something else between the gateway and the things.
    pub fn before<S>(config: Config, upstream: S, things: Things) -> Self
    where
        S: Service<Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let keyring = Arc::new(Keyring::generate());
        let mut policy = Policy::default();
        let trainer = "serviceAccounts/trainer".to_owned();
        policy.apply(Change::PrincipalIs { principal: trainer.clone(), standing: Standing::Active }, Position(1));
        let mut key = |expire_time: Option<Time>, is_revoked| {
            let key = ApiKey::generate(KeyKind::ServiceAccount, &ApiKey::fresh_id());
            let record = KeyRecord {
                name: format!("{trainer}/apiKeys/{}", key.id()),
                owner: trainer.clone(),
                digest: keyring.digest(key.id(), key.secret()),
                previous: None,
                rotate_time: None,
                scopes: vec![],
                permissions: vec![],
                expire_time,
                is_revoked,
                is_bootstrap: false,
                is_used: false,
            };
            policy.apply(Change::KeyCreated { id: key.id().to_owned(), record }, Position(2));
            key.reveal()
        };
        let keys =
            Keys { good: key(None, false), revoked: key(None, true), expired: key(Some(Time::default()), false) };
        let access = Access::fixed(policy, Arc::new(SystemClock), keyring);
        let gateway = Gateway::new(config, contract(), Arc::clone(&access), upstream, Origin::default()).unwrap();
        Self { gateway, things, access, keys }
    }

    /// Sends a request without a socket, with the good key unless it brings its own credential.
    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if !request.headers().contains_key("authorization") && !request.headers().contains_key("x-api-key") {
            let value = format!("Bearer {}", self.keys.good).parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        self.send_bare(request).await
    }

    /// Sends a request as it is.
    pub async fn send_bare(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.gateway.answer(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Serves HTTP on a socket of its own until the guard is dropped.
    pub async fn http(&self) -> (SocketAddr, DropGuard) {
        let (listener, address, stop) = listener().await;
        let gateway = self.gateway.clone();
        let token = stop.clone();
        tokio::spawn(async move { gateway.serve_http(listener, token).await });
        (address, stop.drop_guard())
    }

    /// Serves gRPC on a socket of its own until the guard is dropped.
    pub async fn grpc(&self) -> (SocketAddr, DropGuard) {
        let (listener, address, stop) = listener().await;
        let gateway = self.gateway.clone();
        let token = stop.clone();
        tokio::spawn(async move { gateway.serve_grpc(listener, token).await });
        (address, stop.drop_guard())
    }
}

pub async fn listener() -> (TcpListener, SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address, CancellationToken::new())
}
