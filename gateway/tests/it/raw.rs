use std::sync::atomic::Ordering;

use axum::body::Body;
use bytes::Bytes;
use cairn_gateway::Config;
use futures::{StreamExt, stream};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;

use crate::world::World;

const PIECE: usize = 64 << 10;

fn put(path: &str, body: Body) -> Request<Body> {
    Request::put(path).header("content-type", "image/png").body(body).unwrap()
}

fn pieces(count: usize) -> Body {
    Body::from_stream(stream::iter((0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; PIECE])))))
}

#[tokio::test]
async fn an_upload_passes_piece_by_piece() {
    let world = World::new();
    let answer = world.send(put("/api/v1/projects/a/files/x/y%20z.png", pieces(100))).await;
    let expected = json!({ "path": "x/y z.png", "size": (100 * PIECE).to_string(), "content_type": "image/png" });
    assert_eq!(answer.json(), expected);
    assert_eq!(world.things.last().message, json!({ "parent": "projects/a", "path": "x/y z.png" }));
}

#[tokio::test]
async fn an_empty_upload_arrives_too() {
    let answer = World::new().send(put("/api/v1/projects/a/files/x", Body::empty())).await;
    assert_eq!(answer.json(), json!({ "path": "x", "content_type": "image/png" }));
}

#[tokio::test]
async fn an_upload_that_breaks_off_or_is_too_large_never_looks_complete() {
    let world = World::with(Config { upload_bytes_max: 3 * PIECE as u64, ..Config::default() });
    let answer = world.send(put("/api/v1/projects/a/files/x", pieces(10))).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["reason"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &"REQUEST_TOO_LARGE".into())
    );

    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("the client is gone"))]);
    let answer = world.send(put("/api/v1/projects/a/files/x", Body::from_stream(broken))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("could not be read"));
    assert_eq!(world.things.completed.load(Ordering::SeqCst), 0, "the service took neither for a whole file");
}

#[tokio::test]
async fn a_small_body_can_be_one_field_of_a_request() {
    let world = World::new();
    let answer = world.send(put("/api/v1/projects/a/notes/n", Body::from("hello"))).await;
    assert_eq!(answer.json(), json!({ "path": "n", "content_type": "image/png" }));
    let content = json!({ "content_type": "image/png", "data": "aGVsbG8=" });
    assert_eq!(world.things.last().message["content"], content);
}

#[tokio::test]
async fn a_download_has_the_headers_that_the_service_may_set() {
    let world = World::new();
    let request = Request::get("/api/v1/projects/a/files/x.png").header("range", "bytes=0-9").body(Body::empty());
    let answer = world.send(request.unwrap()).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 3 * PIECE));
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(answer.header("content-length"), (3 * PIECE).to_string());
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"x.png\"");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("set-cookie"), "", "not a header that a service may set");
    assert_eq!(world.things.last().metadata.get("cairn-http-range").unwrap(), "bytes=0-9");
}

#[tokio::test]
async fn a_download_can_be_elsewhere() {
    let answer = World::new().get("/api/v1/projects/a/files/elsewhere").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, "https://s3.example/x"));
}

#[tokio::test]
async fn a_download_that_fails_midway_breaks_off() {
    let world = World::new();
    let (address, _stop) = world.http().await;
    let request = reqwest::Client::new().get(format!("http://{address}/api/v1/projects/a/files/broken"));
    let answer = request.bearer_auth(&world.keys.good).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.is_err(), "half a file must not look like a whole one");
}

#[tokio::test]
async fn nothing_is_kept_of_what_passes_through() {
    let world = World::new();
    let request = Request::get("/api/v1/projects/a/files/huge").header("x-api-key", &world.keys.good);
    let answer = world.gateway.answer(request.body(Body::empty()).unwrap()).await;
    let mut body = answer.into_body();
    let mut taken = 0;
    while taken < 10 * PIECE {
        taken += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    let made = world.things.flowed.load(Ordering::SeqCst);
    assert!(made <= 12, "{made} pieces were made for a reader that took 10");

    let (sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(0);
    let upload = world.send(put("/api/v1/projects/a/files/x", Body::from_stream(receiver.boxed())));
    let feed = async {
        let mut sender = sender;
        for count in 1..=20_u64 {
            futures::SinkExt::send(&mut sender, Ok(Bytes::from(vec![0; PIECE]))).await.unwrap();
            let arrived = world.things.flowed.load(Ordering::SeqCst) / PIECE as u64;
            assert!(count <= arrived + 3 || arrived > 20, "{count} pieces were taken in, {arrived} arrived");
        }
    };
    world.things.flowed.store(0, Ordering::SeqCst);
    let (answer, ()) = futures::join!(upload, feed);
    assert_eq!(answer.json()["size"], (20 * PIECE).to_string());
}

#[tokio::test]
async fn a_raw_answer_can_be_a_word() {
    let answer = World::new().get("/hello").await;
    assert_eq!((&answer.body[..], answer.header("content-type")), (&b"OK"[..], "text/plain"));
}
