use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_get_reaches_its_method_and_comes_back_as_json() {
    let world = World::new();
    let answer = world.get("/api/v1/projects/a/things/b").await;
    assert_eq!(answer.status, StatusCode::OK);
    let expected = json!({ "name": "projects/a/things/b", "size": "9007199254740993", "etag": "7", "labels": ["a"] });
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("etag"), "\"7\"");
    assert_eq!(answer.header("cairn-position"), "42");
    assert_eq!(answer.header("x-internal"), "", "only metadata that means something outside goes outside");
    assert_eq!(world.things.last().path, "/cairn.things.v1.ThingService/GetThing");
}

#[tokio::test]
async fn path_query_headers_and_body_all_end_in_the_request() {
    let world = World::new();
    let create = Request::post("/api/v1/projects/a/things?thing_id=t")
        .header("content-type", "application/json; charset=utf-8")
        .header("idempotency-key", "key-1")
        .body(Body::from(r#"{"title": "T", "size": 5}"#));
    let answer = world.send(create.unwrap()).await;
    assert_eq!(answer.json(), json!({ "title": "T", "size": "5" }));
    let expected = json!({
        "parent": "projects/a", "thing_id": "t", "request_id": "key-1", "thing": { "title": "T", "size": "5" },
    });
    assert_eq!(world.things.last().message, expected);

    let update = Request::patch("/api/v1/projects/a/things/b?update_mask=title,size")
        .header("content-type", "application/json")
        .header("if-match", "\"7\"")
        .body(Body::from(r#"{"name": "projects/other/things/z", "title": "T"}"#));
    world.send(update.unwrap()).await;
    let expected = json!({
        "thing": { "name": "projects/a/things/b", "title": "T", "etag": "7" }, "update_mask": "title,size",
    });
    assert_eq!(world.things.last().message, expected, "the path has the last word");
}

#[tokio::test]
async fn custom_verbs_and_bodies_that_are_the_whole_request() {
    let world = World::new();
    for (body, etag) in [("", "W/\"3\""), ("{}", "\"3\""), (r#"{"etag": "1"}"#, "3")] {
        let archive = Request::post("/api/v1/projects/a/things/b:archive").header("if-match", etag);
        let answer = world.send(archive.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(world.things.last().message, json!({ "name": "projects/a/things/b", "etag": "3" }));
    }
}

#[tokio::test]
async fn query_parameters_reach_nested_and_repeated_fields() {
    let world = World::new();
    let query = "page_size=5&order_by=a&order_by=b+c&order_by[]=d%26&filter.title=x&filter.size.from=-3&filter.size.to=4\
                 &filter.states=STATE_OPEN&filter.states=2&filter.before=2026-01-01T00:00:00Z&filter.is_open=true";
    let answer = world.get(&format!("/api/v1/projects/a/things?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let expected = json!({
        "parent": "projects/a",
        "page_size": 5,
        "order_by": ["a", "b c", "d&"],
        "filter": {
            "title": "x",
            "size": { "from": "-3", "to": "4" },
            "states": ["STATE_OPEN", "STATE_SHUT"],
            "before": "2026-01-01T00:00:00Z",
            "is_open": true,
        },
    });
    assert_eq!(world.things.last().message, expected);
}

#[tokio::test]
async fn one_field_can_be_the_whole_answer() {
    let answer = World::new().get("/api/v1/projects/a/thingNames").await;
    assert_eq!(answer.json(), json!(["a", "b"]));
}

#[tokio::test]
async fn head_is_get_without_a_body_and_options_lists_the_verbs() {
    let world = World::new();
    let head = world.send(Request::head("/api/v1/projects/a/things/b").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (StatusCode::OK, 0, "\"7\""));
    let options = world.send(Request::options("/api/v1/projects/a/things").body(Body::empty()).unwrap()).await;
    assert_eq!((options.status, options.header("allow")), (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS, POST"));
}

#[tokio::test]
async fn what_is_asked_of_time_passes_through() {
    let world = World::new();
    let request = Request::get("/api/v1/projects/a/things/b")
        .header("cairn-after", "41")
        .header("x-request-id", "r-1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let answer = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("x-request-id"), "r-1");
    let seen = world.things.last().metadata;
    let text = |key: &str| seen.get(key).map_or("", |value| value.to_str().unwrap());
    assert_eq!((text("cairn-after"), text("x-request-id")), ("41", "r-1"));
    assert!(text("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{seen:?}");
    assert!(text("grpc-timeout").ends_with(['m', 'u', 'S', 'n']), "{seen:?}");
}
