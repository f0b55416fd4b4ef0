use axum::body::Body;
use cairn_gateway::Config;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::world::World;

fn watch(project: &str) -> String {
    format!("/api/v1/projects/{project}/things:watch")
}

fn lines(body: &[u8]) -> Vec<Value> {
    body.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_stream_is_one_json_value_per_line() {
    let answer = World::new().get(&watch("a")).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/x-ndjson"));
    let thing = json!({ "name": "t", "size": "1" });
    assert_eq!(lines(&answer.body), [thing.clone(), thing]);
}

#[tokio::test]
async fn a_stream_is_events_for_those_who_ask_for_them() {
    let request = Request::get(watch("a")).header("accept", "text/event-stream").body(Body::empty());
    let answer = World::new().send(request.unwrap()).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let event = "data: {\"name\":\"t\",\"size\":\"1\"}\n\n";
    assert_eq!(answer.body, format!("{event}{event}"));
}

#[tokio::test]
async fn a_stream_that_fails_says_so_at_its_end_and_one_that_is_refused_at_its_beginning() {
    let world = World::new();
    let answer = world.get(&watch("failing")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let lines = lines(&answer.body);
    assert_eq!((lines.len(), &lines[2]["error"]["reason"]), (3, &json!("STORE_UNAVAILABLE")));
    assert_eq!(lines[2]["error"]["context"]["request_id"], answer.header("x-request-id"));
    let request = Request::get(watch("failing")).header("accept", "text/event-stream").body(Body::empty());
    let answer = world.send(request.unwrap()).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains("event: error\ndata: {\"error\":"), "{text}");

    let answer = world.get(&watch("refused")).await;
    assert_eq!((answer.status, &answer.json()["error"]["reason"]), (StatusCode::NOT_FOUND, &json!("THING_NOT_FOUND")));
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_is_alive_and_ends_with_the_process() {
    let world = World::with(Config { keep_alive_ms: 1, ..Config::default() });
    let (address, stop) = world.http().await;
    let request = reqwest::Client::new().get(format!("http://{address}{}", watch("quiet")));
    let mut answer = request.bearer_auth(&world.keys.good).send().await.unwrap();
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    drop(stop);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let last = lines(text.as_bytes()).pop().unwrap();
    assert_eq!(last["error"]["reason"], "SHUTTING_DOWN");
}

#[tokio::test]
async fn a_stream_begins_before_it_ends() {
    let world = World::new();
    let request = Request::get(watch("quiet")).header("x-api-key", &world.keys.good).body(Body::empty());
    let mut body = world.gateway.answer(request.unwrap()).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(lines(&first), [json!({ "name": "t", "size": "1" })]);
}
