use std::io::Read;

use axum::body::Body;
use bytes::Bytes;
use cairn_gateway::Config;
use futures::{StreamExt, stream};
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Answer, World};

fn small() -> Config {
    Config { body_bytes_max: 100_000, ..Config::default() }
}

fn echo() -> http::request::Builder {
    Request::post("/api/v1/echo").header("content-type", "application/json")
}

fn is(answer: &Answer, status: StatusCode, reason: &str) {
    assert_eq!((answer.status, &answer.json()["error"]["reason"]), (status, &Value::from(reason)), "{:?}", answer.body);
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_read() {
    let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let request = echo().header("content-length", 1_u64 << 30).body(body).unwrap();
    is(&World::with(small()).send(request).await, StatusCode::PAYLOAD_TOO_LARGE, "REQUEST_TOO_LARGE");
}

#[tokio::test]
async fn a_body_that_goes_on_for_ever_is_refused_at_the_limit() {
    let body = Body::from_stream(stream::repeat(Bytes::from_static(&[b' '; 1000])).map(Ok::<_, std::io::Error>));
    let answer = World::with(small()).send(echo().body(body).unwrap()).await;
    is(&answer, StatusCode::PAYLOAD_TOO_LARGE, "REQUEST_TOO_LARGE");
}

#[tokio::test]
async fn a_compressed_bomb_counts_as_what_it_becomes() {
    let mut bomb = vec![];
    let zeros = std::io::repeat(b' ').take(50_000_000);
    flate2::read::GzEncoder::new(zeros, flate2::Compression::fast()).read_to_end(&mut bomb).unwrap();
    assert!(bomb.len() < 1_000_000);
    let request = echo().header("content-encoding", "gzip").body(Body::from(bomb)).unwrap();
    let world = World::with(Config { body_bytes_max: 1_000_000, ..Config::default() });
    is(&world.send(request).await, StatusCode::PAYLOAD_TOO_LARGE, "REQUEST_TOO_LARGE");
    let request = echo().header("content-encoding", "gzip").body(Body::from("not gzip")).unwrap();
    is(&world.send(request).await, StatusCode::BAD_REQUEST, "VALIDATION_ERROR");
    // A frame that asks for a window of 128 MiB, and nothing more.
    let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
    let request = echo().header("content-encoding", "zstd").body(Body::from(window)).unwrap();
    is(&world.send(request).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn deep_nesting_is_refused_wherever_it_is() {
    let world = World::new();
    for (path, open, close) in [
        ("/api/v1/echo", "{\"value\":", "}"),
        ("/api/v1/echo", "{\"inner\":", "}"),
        ("/api/v1/echo", "[", "]"),
        ("/api/2.0/mlflow/echo", "{\"inner\":", "}"),
    ] {
        let body = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let answer = world.post(path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{open}: {:?}", answer.body);
    }
    let body = format!("{{\"unheard_of\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(world.post("/api/2.0/mlflow/echo", body).await.status, StatusCode::OK, "passed over without descending");
    let body = format!("{{\"value\":{}1{}}}", "[".repeat(50), "]".repeat(50));
    assert_eq!(world.post("/api/v1/echo", body).await.status, StatusCode::BAD_REQUEST, "decoders stop at 100 messages");
    let body = format!("{{\"value\":{}1{}}}", "[".repeat(25), "]".repeat(25));
    assert_eq!(world.post("/api/v1/echo", body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_pauses_within_its_body_is_given_up() {
    let world = World::with(Config { idle_timeout_ms: 10, ..Config::default() });
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
    let body = Body::from_stream(first.chain(stream::pending()));
    is(&world.send(echo().body(body).unwrap()).await, StatusCode::REQUEST_TIMEOUT, "CLIENT_TOO_SLOW");
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up() {
    let world = World::with(Config { request_timeout_ms: 50, ..Config::default() });
    let answer = world.get("/api/v1/projects/a/things/endless").await;
    is(&answer, StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn callers_who_ask_too_often_are_told_when_to_come_back() {
    let world = World::with(Config { caller_rate_max: 2, burst_seconds: 1, ..Config::default() });
    for _ in 0..2 {
        assert_eq!(world.get("/hello").await.status, StatusCode::OK);
    }
    let answer = world.get("/hello").await;
    is(&answer, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
    assert_eq!(answer.header("retry-after"), "1");
    let stranger = Request::get("/hello").body(Body::empty()).unwrap();
    assert_eq!(world.send_bare(stranger).await.status, StatusCode::OK, "others are not held up");
}

#[tokio::test]
async fn every_answer_tells_how_the_callers_allowances_stand_s4_90() {
    let world = World::with(Config { caller_rate_max: 3, method_rate_max: 2, burst_seconds: 1, ..Config::default() });
    let answer = world.get("/hello").await;
    assert_eq!(answer.header("ratelimit-policy"), "\"caller\";q=3;w=1, \"method\";q=2;w=1");
    assert_eq!(answer.header("ratelimit"), "\"caller\";r=2;t=1, \"method\";r=1;t=1");
    world.get("/hello").await;
    let answer = world.get("/hello").await;
    is(&answer, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
    assert_eq!(answer.json()["error"]["context"]["limit"], "method");
    assert_eq!(answer.header("ratelimit"), "\"method\";r=0;t=1", "the one that is used up");
    let stranger = Request::get("/nowhere").body(Body::empty()).unwrap();
    assert!(world.send_bare(stranger).await.header("ratelimit").starts_with("\"network\";r="));
}

#[tokio::test]
async fn a_method_or_a_caller_may_have_a_quota_of_its_own() {
    let config = Config {
        methods: vec!["cairn.things.v1.ThingService/GetThing rate=1 burst=2".into()],
        callers: vec!["serviceAccounts/trainer rate=1000 burst=5".into()],
        ..Config::default()
    };
    let world = World::with(config);
    let path = "/api/v1/projects/a/things/b";
    let statuses = [world.get(path).await.status, world.get(path).await.status, world.get(path).await.status];
    assert_eq!(statuses, [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]);
    assert!(world.get("/hello").await.header("ratelimit-policy").starts_with("\"caller\";q=5;w=1"));
}

#[tokio::test]
async fn what_costs_more_takes_more() {
    let methods = vec!["cairn.things.v1.StreamService/* cost=4".into()];
    let world = World::with(Config { caller_rate_max: 10, burst_seconds: 1, methods, ..Config::default() });
    let answers = [world.get("/hello").await, world.get("/hello").await, world.get("/hello").await];
    assert_eq!(answers.map(|answer| answer.status.as_u16()), [200, 200, 429]);
}

#[tokio::test]
async fn a_caller_may_have_so_many_calls_open() {
    let world = World::with(Config { caller_calls_max: 1, ..Config::default() });
    let watch = "/api/v1/projects/quiet/things:watch";
    let request = Request::get(watch).header("authorization", format!("Bearer {}", world.keys.good));
    let open = world.gateway.answer(request.body(Body::empty()).unwrap()).await;
    assert_eq!(open.status(), StatusCode::OK);
    let answer = world.get("/hello").await;
    is(&answer, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
    assert_eq!(answer.json()["error"]["context"]["limit"], "open");
    drop(open);
    assert_eq!(world.get("/hello").await.status, StatusCode::OK, "its place is free again");
}

#[test]
fn a_rule_for_a_method_that_is_none_stops_the_start() {
    let config = Config { methods: vec!["cairn.things.v1.ThingService/Nothing rate=1".into()], ..Config::default() };
    let access = World::new().access;
    let things = crate::things::Things::new(crate::world::contract().pool().clone());
    let problems =
        cairn_gateway::Gateway::new(config, crate::world::contract(), access, things, cairn_gateway::Origin::default())
            .err()
            .unwrap();
    assert!(problems[0].contains("ThingService/Nothing"), "{problems:?}");
}

#[tokio::test]
async fn a_caller_has_an_allowance_for_each_method() {
    let world = World::with(Config { method_rate_max: 1, burst_seconds: 1, ..Config::default() });
    assert_eq!(world.get("/hello").await.status, StatusCode::OK);
    is(&world.get("/hello").await, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
    assert_eq!(world.get("/api/v1/projects/a/things/b").await.status, StatusCode::OK);
}

#[tokio::test]
async fn strangers_share_their_networks_allowance() {
    let world = World::with(Config { stranger_rate_max: 1, burst_seconds: 1, ..Config::default() });
    let guess = || Request::get("/hello").header("authorization", "Bearer guess").body(Body::empty()).unwrap();
    is(&world.send_bare(guess()).await, StatusCode::UNAUTHORIZED, "CREDENTIAL_INVALID");
    is(&world.send_bare(guess()).await, StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED");
    assert_eq!(world.get("/hello").await.status, StatusCode::OK, "a good key is not held up by bad ones");
}

/// What the server says to these bytes, until it closes.
async fn said(world: &World, bytes: &[u8]) -> String {
    let (address, _stop) = world.http().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = vec![];
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn heads_that_are_too_large_or_too_slow_are_given_up() {
    let world = World::with(Config { head_bytes_max: 8192, head_timeout_ms: 50, ..Config::default() });
    let long = format!("GET /hello HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "x".repeat(20_000));
    assert!(said(&world, long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    assert_eq!(said(&world, b"GET /hello HTTP/1.1\r\nhost: a\r\n").await, "", "closed without a word");
    assert_eq!(said(&world, b"").await, "");
}

#[tokio::test]
async fn requests_that_could_be_read_in_two_ways_are_refused() {
    let world = World::new();
    for head in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "host : b\r\n",
        " folded: x\r\n",
    ] {
        let answer = said(&world, format!("POST /api/v1/echo HTTP/1.1\r\nhost: a\r\n{head}\r\nhello").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer:?}");
    }
}
