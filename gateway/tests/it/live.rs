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
    assert_eq!((answer.header("cache-control"), answer.header("x-accel-buffering")), ("no-store", "no"));
    let event = "data: {\"name\":\"t\",\"size\":\"1\"}\n\n";
    assert_eq!(answer.body, format!("retry: 1000\n\n{event}{event}"));
}

#[tokio::test]
async fn each_event_says_where_it_stands_and_the_first_line_where_the_stream_begins() {
    let request = Request::get(watch("placed")).header("accept", "text/event-stream").body(Body::empty());
    let answer = World::new().send(request.unwrap()).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events[0], "retry: 1000\nid: 6");
    assert!(events[1].starts_with("id: 7\ndata: {\"name\":\"t\""), "{text}");
    assert!(events[2].starts_with("data: {"), "a place that is no single line would be read as something else: {text}");
    assert_eq!(events.len(), 4, "{text}");
}

#[tokio::test]
async fn a_reader_who_comes_back_goes_on_where_they_were_cut_off_whatever_their_address_says() {
    let world = World::new();
    let path = format!("{}?page_token=3", watch("a"));
    let token = async |last: Option<&str>| {
        let mut request = Request::get(&path).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        assert_eq!(world.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
        world.things.last().message["page_token"].clone()
    };
    assert_eq!(token(None).await, "3");
    assert_eq!(token(Some("7")).await, "7");
    assert_eq!(token(Some("")).await, "3", "a reader who has seen nothing says nothing");
}

#[tokio::test]
async fn silent_events_show_that_they_are_alive_by_a_comment() {
    let world = World::with(Config { keep_alive_ms: 1, ..Config::default() });
    let request = Request::get(watch("quiet")).header("x-api-key", &world.keys.good);
    let request = request.header("accept", "text/event-stream").body(Body::empty());
    let mut body = world.gateway.answer(request.unwrap()).await.into_body();
    let mut text = String::new();
    while !text.ends_with(": alive\n\n") {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(text.starts_with("retry: 1000\n\ndata: "), "{text}");
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
