use std::io::Read;

use axum::body::Body;
use cairn_gateway::Config;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

const THING: &str = "/api/v1/projects/a/things/b";

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut out).unwrap();
    out
}

#[tokio::test]
async fn bodies_are_compressed_both_ways_on_request() {
    let world = World::new();
    let body = json!({ "a_string": "x".repeat(10_000) }).to_string();
    let request = Request::post("/api/v1/echo")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .header("accept-encoding", "gzip")
        .body(Body::from(gzipped(body.as_bytes())));
    let answer = world.send(request.unwrap()).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (StatusCode::OK, "gzip"));
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut plain).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), serde_json::from_str::<Value>(&body).unwrap());
    assert!(answer.body.len() < 1000);

    let request = Request::get("/api/v1/projects/a/files/x").header("accept-encoding", "gzip").body(Body::empty());
    let answer = world.send(request.unwrap()).await;
    assert_eq!(answer.header("content-encoding"), "", "raw bytes pass as they are");
}

#[tokio::test]
async fn every_answer_keeps_browsers_from_guessing() {
    let world = World::new();
    for path in [THING, "/nothing", "/hello"] {
        let answer = world.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn other_origins_may_call_only_when_they_are_named() {
    let config = Config { cors_origins: vec!["https://console.example".into()], ..Config::default() };
    let world = World::with(config);
    let preflight = |origin: &str| {
        Request::options(THING)
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .body(Body::empty())
            .unwrap()
    };
    let answer = world.send_bare(preflight("https://console.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://console.example");
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let answer = world.send_bare(preflight("https://evil.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn pages_of_the_process_stand_beside_the_contract() {
    let world = World::new();
    let gateway = world.gateway.clone().with_page("/api/v1/health", |_| Response::new(Body::from("{}")));
    let request = || Request::get("/api/v1/health").body(Body::empty()).unwrap();
    assert_eq!(gateway.answer(request()).await.status(), StatusCode::OK);
    assert_eq!(world.send(request()).await.status, StatusCode::NOT_FOUND);
    let page = |_: &http::HeaderMap| {
        let html = Response::builder().header("content-type", "text/html; charset=utf-8");
        html.body(Body::from(cairn_contract::docs::PAGE)).unwrap()
    };
    let docs = world.gateway.clone().with_page("/docs", page);
    let answer = docs.answer(Request::get("/docs").body(Body::empty()).unwrap()).await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'sha256-") && policy.contains("style-src 'sha256-"), "{policy}");
    let request = Request::post("/api/v1/health").body(Body::empty()).unwrap();
    assert_eq!(gateway.answer(request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_all_that_is_wrong() {
    let config = Config {
        body_bytes_max: 0,
        head_bytes_max: 10,
        cors_origins: vec!["*".into(), "https://a.example/path".into(), "https://ok.example".into()],
        ..Config::default()
    };
    let problems = cairn_service::config::Section::problems(&config);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(cairn_service::config::Section::problems(&Config::default()).is_empty());
}
