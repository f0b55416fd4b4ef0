//! What must hold for any input whatever: each function takes bytes and panics when it does not. `make fuzz` looks for such
//! bytes, and a test runs the seeds and mutations of them.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use cairn_access::{Access, ApiKey, Change, KeyKind, KeyRecord, Keyring, Standing, World};
use cairn_contract::{Contract, Template};
use cairn_gateway::{Config, Gateway, Origin};
use cairn_kernel::{Position, SystemClock};
use cairn_search::{COMPARISONS_MAX, parse, parse_terms};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost_reflect::DynamicMessage;
use tokio::runtime::Runtime;
use tonic::body::Body;

/// A path template in the first line, a path in the second.
pub fn path(data: &[u8]) {
    let Some((template, path)) = std::str::from_utf8(data).ok().and_then(|text| text.split_once('\n')) else { return };
    let Ok(template) = Template::parse(template) else { return };
    let again = Template::parse(template.as_str()).expect("what was read is read again");
    assert_eq!(again.segments(), template.segments());
    assert!(template.overlaps(&again), "a template leads where it leads");
    let Some(bound) = template.matches(path) else { return };
    assert_eq!(again.matches(path), Some(bound.clone()), "a path means one thing");
    assert_eq!(bound.len(), template.variables().len());
    for (field, value) in bound {
        assert!(template.variables().iter().any(|variable| variable.field_path == field));
        assert!(!value.is_empty(), "{field} was bound to nothing");
    }
}

/// A search of MLflow's clients.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(comparisons) = parse(text) {
        assert!(comparisons.len() <= COMPARISONS_MAX);
        parse_terms(text).expect("what is a list of comparisons is a list of terms");
    }
    let _ = parse_terms(text);
}

/// A request: verb and target in the first line, a body behind it. What reaches a service is a message of its method,
/// and the caller is never told that something went wrong on our side.
pub fn request(data: &[u8]) {
    static EDGE: LazyLock<Edge> = LazyLock::new(Edge::new);
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Some((verb, target)) = std::str::from_utf8(&data[..at]).ok().and_then(|line| line.split_once(' ')) else {
        return;
    };
    let body = axum::body::Body::from(data.get(at + 1..).unwrap_or_default().to_vec());
    let request = Request::builder().method(verb).uri(target).header("authorization", &EDGE.key);
    let Ok(request) = request.header("content-type", "application/json").body(body) else { return };
    EDGE.runtime.block_on(async {
        let answer = EDGE.gateway.answer(request).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        assert!(parts.status != StatusCode::INTERNAL_SERVER_ERROR, "{body:?}");
        if parts.status.is_client_error() {
            let _: serde_json::Value = serde_json::from_slice(&body).expect("a refusal is JSON");
        }
    });
}

/// A gateway of the real contract, before services that look at what reaches them and answer with nothing.
struct Edge {
    gateway: Gateway,
    key: String,
    runtime: Runtime,
}

impl Edge {
    fn new() -> Self {
        let contract = Contract::embedded().expect("the contract loads");
        let keyring = Arc::new(Keyring::generate());
        let key = ApiKey::generate(KeyKind::ServiceAccount, &ApiKey::fresh_id());
        let owner = "serviceAccounts/fuzzer".to_owned();
        let record = KeyRecord {
            name: format!("{owner}/apiKeys/{}", key.id()),
            owner: owner.clone(),
            digest: keyring.digest(key.id(), key.secret()),
            previous: None,
            rotate_time: None,
            scopes: vec![],
            permissions: vec![],
            expire_time: None,
            is_revoked: false,
            is_bootstrap: false,
            is_used: false,
        };
        let mut world = World::default();
        world.apply(Change::PrincipalIs { principal: owner, standing: Standing::Active }, Position(1));
        world.apply(Change::KeyCreated { id: key.id().to_owned(), record }, Position(2));
        let access = Access::fixed(world, Arc::new(SystemClock), keyring);
        let config = Config { caller_rate_max: u32::MAX, method_rate_max: u32::MAX, ..Config::default() };
        let gateway = Gateway::new(
            config,
            contract,
            access,
            tower::service_fn(|request| looked_at(contract, request)),
            Origin::default(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is made");
        Self {
            gateway: gateway.unwrap_or_else(|problems| panic!("the gateway does not start: {problems:?}")),
            key: format!("Bearer {}", key.reveal()),
            runtime,
        }
    }
}

async fn looked_at(contract: &'static Contract, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let method = contract.method(request.uri().path()).expect("a call is of a method");
    let mut body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    while body.len() >= 5 {
        let frame = body.split_to(5);
        let length = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]) as usize;
        let message = body.split_to(length);
        DynamicMessage::decode(method.input(), message).expect("what reaches a service is its message");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a number is a header"));
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)];
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, tonic::Status>)));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", "application/grpc".parse().expect("a constant is a header"));
    Ok(response)
}
