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
        .body(Body::from(r#"{"name": "projects/a/things/b", "title": "T"}"#));
    world.send(update.unwrap()).await;
    let expected = json!({
        "thing": { "name": "projects/a/things/b", "title": "T", "etag": "7" }, "update_mask": "title,size",
    });
    assert_eq!(world.things.last().message, expected);
}

#[tokio::test]
async fn a_body_that_names_another_resource_than_the_path_is_refused_with_both_names() {
    let world = World::new();
    let other = r#"{"name": "projects/other/things/z", "title": "T"}"#;
    for request in [
        Request::patch("/api/v1/projects/a/things/b").body(Body::from(other)),
        Request::patch("/api/v1/projects/a/things/b?update_mask=title").body(Body::from(other)),
        Request::post("/api/v1/projects/a/things/b:archive").body(Body::from(r#"{"name": "projects/other/things/z"}"#)),
    ] {
        let answer = world.send(request.unwrap()).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["reason"]), (StatusCode::BAD_REQUEST, &json!("VALIDATION_ERROR")));
        let message = error["message"].as_str().unwrap();
        for name in ["projects/a/things/b", "projects/other/things/z"] {
            assert!(message.contains(name), "{message}");
        }
    }
    assert!(world.things.seen.lock().is_empty(), "none of them went further");
}

#[tokio::test]
async fn custom_verbs_and_bodies_that_are_the_whole_request() {
    let world = World::new();
    for (body, etag) in [("", "W/\"3\""), ("{}", "\"3\""), (r#"{"etag": "3"}"#, "3"), (r#"{"etag": "3"}"#, "*")] {
        let archive = Request::post("/api/v1/projects/a/things/b:archive").header("if-match", etag);
        let answer = world.send(archive.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(world.things.last().message, json!({ "name": "projects/a/things/b", "etag": "3" }));
    }
}

#[tokio::test]
async fn a_success_is_told_as_its_method_has_it() {
    let world = World::new();
    let found = world.send(Request::post("/api/v1/projects/a/things/b:found").body(Body::empty()).unwrap()).await;
    assert_eq!(found.status, StatusCode::CREATED);
    assert_eq!(found.json()["name"], "projects/a/things/b");
    let told = ["location", "etag", "cairn-position", "content-type"].map(|name| found.header(name).to_owned());
    assert_eq!(told, ["/api/v1/projects/a/things/b", "\"7\"", "42", "application/json"]);

    let dropped = world.send(Request::delete("/api/v1/projects/a/things/b").body(Body::empty()).unwrap()).await;
    assert_eq!((dropped.status, dropped.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!((dropped.header("cairn-position"), dropped.header("content-type")), ("42", ""));

    let missing = world.send(Request::delete("/api/v1/projects/a/things/missing").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (missing.status, &missing.json()["error"]["reason"]),
        (StatusCode::NOT_FOUND, &json!("THING_NOT_FOUND"))
    );
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

#[tokio::test]
async fn whoever_has_changed_something_is_answered_by_who_has_seen_it_where_that_is_remembered() {
    let world = World::new();
    let after = async |request: http::request::Builder| {
        world.send(request.body(Body::empty()).unwrap()).await;
        world.things.last().metadata.get("cairn-after").map(|value| value.to_str().unwrap().to_owned())
    };
    let get = || Request::get("/api/v1/projects/a/things/b");
    assert_eq!(after(get()).await, None);
    assert_eq!(after(get()).await, None, "what was answered is not remembered in one process");
    world.gateway.remember_changes();
    let met = world.access.position().0.to_string();
    assert_eq!(after(get()).await, Some(met), "whoever is known here is to be known there");
    assert_eq!(after(get()).await.as_deref(), Some("42"), "as the answer before said");
    assert_eq!(after(get().header("cairn-after", "7")).await.as_deref(), Some("7"), "the caller knows better");
}

#[tokio::test]
async fn a_header_and_a_field_that_stand_for_the_same_must_agree() {
    let world = World::new();
    let archive = |header: &'static str, value: &'static str, body: &'static str| {
        let request = Request::post("/api/v1/projects/a/things/b:archive").header(header, value);
        world.send(request.body(Body::from(body)).unwrap())
    };
    for (header, value, body) in [
        ("if-match", "\"3\"", r#"{"etag": "1"}"#),
        ("idempotency-key", "k-1", r#"{"request_id": "k-2"}"#),
        ("idempotency-key", "\"k-1\"", r#"{"request_id": "k-2"}"#),
    ] {
        let answer = archive(header, value, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{header}: {:?}", answer.body);
        assert_eq!(answer.json()["error"]["context"]["field"], header);
    }
    assert_eq!(archive("idempotency-key", "\"k-1\"", r#"{"request_id": "k-1"}"#).await.status, StatusCode::OK);
    assert_eq!(world.things.last().message["request_id"], "k-1");
    let query = Request::post("/api/v1/projects/a/things?request_id=k-2").header("idempotency-key", "k-1");
    let answer = world.send(query.header("content-type", "application/json").body(Body::from("{}")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_update_without_a_mask_is_about_the_fields_that_its_body_names() {
    let world = World::new();
    for (body, mask) in [
        (r#"{"title": "T"}"#, json!("title")),
        (r#"{"title": null, "size": 0}"#, json!("size,title")),
        (r#"{"title": "", "name": "projects/a/things/b", "etag": "1"}"#, json!("title")),
        (r#"{"name": "projects/a/things/b"}"#, json!(null)),
        ("{}", json!(null)),
        ("", json!(null)),
    ] {
        for kind in ["application/json", "application/merge-patch+json"] {
            let patch = Request::patch("/api/v1/projects/a/things/b").header("content-type", kind);
            let answer = world.send(patch.body(Body::from(body)).unwrap()).await;
            assert_eq!(answer.status, StatusCode::OK, "{body}: {:?}", answer.body);
            assert_eq!(world.things.last().message["update_mask"], mask, "{body}");
        }
    }
    let create = Request::post("/api/v1/projects/a/things").header("content-type", "application/json");
    assert_eq!(world.send(create.body(Body::from(r#"{"title": "T"}"#)).unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn errors_are_problem_details_for_those_who_ask() {
    let world = World::new();
    let request = Request::get("/nowhere").header("accept", "application/problem+json, application/json;q=0.5");
    let answer = world.send(request.header("x-request-id", "r-1").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::NOT_FOUND, "application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:cairn:reason:ROUTE_NOT_FOUND");
    assert_eq!((&problem["title"], &problem["status"]), (&json!("Not Found"), &json!(404)));
    assert_eq!(problem["instance"], "urn:cairn:request:r-1");
    assert!(problem["detail"].as_str().unwrap().contains("/nowhere"));
    assert_eq!(problem["reason"], "ROUTE_NOT_FOUND");
    assert_eq!(world.get("/nowhere").await.header("content-type"), "application/json");
}
