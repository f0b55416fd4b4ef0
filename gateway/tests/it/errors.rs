use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::world::{Answer, World};

/// What every error has, in whatever way it came about.
fn shape(answer: &Answer) -> Value {
    let json = answer.json();
    let error = &json["error"];
    for key in ["status", "reason", "message", "trace_id"] {
        assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {json}");
    }
    assert_eq!(error["code"], answer.status.as_u16(), "{json}");
    assert_eq!(error["context"]["request_id"], answer.header("x-request-id"), "{json}");
    assert_eq!(error["trace_id"].as_str().unwrap().len(), 32);
    assert!(error["details"].is_array());
    let contract = cairn_contract::Contract::embedded().unwrap();
    let reason = error["reason"].as_str().unwrap();
    let is_known = contract.reason(reason).is_some() || reason == "THING_NOT_FOUND";
    assert!(is_known, "{reason} is not in the contract");
    error.clone()
}

async fn refused(request: Request<Body>, status: StatusCode, reason: &str) -> Value {
    let answer = World::new().send(request).await;
    let error = shape(&answer);
    assert_eq!((answer.status, error["reason"].as_str().unwrap()), (status, reason), "{error}");
    error
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn echo(body: impl Into<Body>) -> Request<Body> {
    Request::post("/api/v1/echo").header("content-type", "application/json").body(body.into()).unwrap()
}

#[tokio::test]
async fn every_error_has_code_message_context_and_trace_id_s3_41_s3_81() {
    let thing = |id: &str| get(&format!("/api/v1/projects/a/things/{id}"));
    let error = refused(thing("missing"), StatusCode::NOT_FOUND, "THING_NOT_FOUND").await;
    assert_eq!(error["context"]["name"], "projects/a/things/missing");
    assert_eq!(error["details"][0]["reason"], "THING_NOT_FOUND");
    assert_eq!(error["status"], "NOT_FOUND");
    refused(thing("stale"), StatusCode::CONFLICT, "ETAG_MISMATCH").await;
    refused(thing("late"), StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED").await;
    refused(get("/api/v1/nothing"), StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND").await;
    refused(get("/api/v1/projects/a%2Fb/things/c"), StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND").await;
    refused(get("/api/v1/projects/../things/c"), StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND").await;
}

#[tokio::test]
async fn a_full_store_says_when_to_try_again() {
    let answer = World::new().get("/api/v1/projects/a/things/full").await;
    let error = shape(&answer);
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "2"));
    assert_eq!(error["details"][1]["retry_delay"], "1.5s");
}

#[tokio::test]
async fn what_went_wrong_inside_stays_inside() {
    for id in ["secretive", "broken"] {
        let path = format!("/api/v1/projects/a/things/{id}");
        let error = refused(get(&path), StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL").await;
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_stale_etag_under_if_match_is_a_failed_precondition_of_http() {
    let request = Request::get("/api/v1/projects/a/things/stale").header("if-match", "\"1\"");
    refused(request.body(Body::empty()).unwrap(), StatusCode::PRECONDITION_FAILED, "ETAG_MISMATCH").await;
}

#[tokio::test]
async fn a_verb_that_a_path_has_not_is_told_the_ones_it_has() {
    let request = Request::builder().method(Method::DELETE).uri("/api/v1/projects/a/things").body(Body::empty());
    let world = World::new();
    let answer = world.send(request.unwrap()).await;
    let error = shape(&answer);
    assert_eq!(
        (answer.status, error["reason"].as_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED")
    );
    assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS, POST");
}

#[tokio::test]
async fn a_body_that_does_not_fit_says_where() {
    for (body, field, words) in [
        (r#"{"a_string": 7}"#, "a_string", "expected a string"),
        (r#"{"inners": [{}, {"an_int32": "x"}]}"#, "inners[1].an_int32", "expected a whole number"),
        (r#"{"an_int32": 2147483648}"#, "an_int32", "out of range for 32 bits"),
        (r#"{"an_int32": 1.5}"#, "an_int32", "expected a whole number"),
        (r#"{"numbered": {"7": {"a_bool": 1}}}"#, "numbered.7.a_bool", "expected true or false"),
        (r#"{"numbered": {"x": {}}}"#, "numbered.x", "expected a whole number"),
        (r#"{"inner": {"unheard_of": 1}}"#, "inner.unheard_of", "is not a field of cairn.things.v1.Everything"),
        (r#"{"state": "STATE_ODD"}"#, "state", "is not one of the values"),
        (r#"{"strings": ["a", null]}"#, "strings[1]", "must not be null"),
        (r#"{"strings": "a"}"#, "strings", "expected a list"),
        (r#"{"time": "yesterday"}"#, "time", "expected a time"),
        (r#"{"duration": 5}"#, "duration", "expected a duration"),
        (r#"{"some_bytes": "%"}"#, "some_bytes", "expected bytes as base64"),
        (r#"{"a_bool": true, "a_bool": false}"#, "a_bool", "is given twice"),
        (r#"{"chosen_string": "a", "chosen_int32": 1}"#, "chosen_int32", "is given twice, or together with"),
        (r#"{"a_float": 1e300}"#, "a_float", "too large for a 32-bit float"),
        (r#"[]"#, "", "expected an object"),
        (r#"{"a_bool": true"#, "", "line 1 column 15"),
        ("{\n  \"a_bool\": tru }", "", "line 2 column"),
        (r#"{"a_double": NaN}"#, "", "not valid JSON"),
        (r#"{} {}"#, "", "trailing characters"),
    ] {
        let error = refused(echo(body), StatusCode::BAD_REQUEST, "VALIDATION_ERROR").await;
        assert_eq!(error["context"]["field"], field, "{body}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_query_that_does_not_fit_says_which_parameter() {
    for (query, field) in [
        ("page_sise=5", "page_sise"),
        ("page_size=many", "page_size"),
        ("filter.size.from=x", "filter.size.from"),
        ("filter.colour=x", "filter.colour"),
        ("filter=x", "filter"),
        ("parent=projects/other", "parent"),
        ("page_token=%ff", ""),
    ] {
        let path = format!("/api/v1/projects/a/things?{query}");
        let error = refused(get(&path), StatusCode::BAD_REQUEST, "VALIDATION_ERROR").await;
        assert_eq!(error["context"]["field"], field, "{query}: {error}");
    }
    let request = Request::post("/api/v1/echo?a_string=x").body(Body::from("{}")).unwrap();
    refused(request, StatusCode::BAD_REQUEST, "VALIDATION_ERROR").await;
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused() {
    for (name, value) in [("content-type", "text/plain"), ("content-type", "application/x-www-form-urlencoded")] {
        let request = Request::post("/api/v1/echo").header(name, value).body(Body::from("{}")).unwrap();
        refused(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE").await;
    }
    let request = Request::post("/api/v1/echo").header("content-encoding", "br").body(Body::from("{}")).unwrap();
    refused(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE").await;
}

#[tokio::test]
async fn headers_that_other_programs_might_read_differently_are_refused() {
    let request = Request::get("/hello").header("x_forwarded_for", "1.1.1.1").body(Body::empty()).unwrap();
    refused(request, StatusCode::BAD_REQUEST, "VALIDATION_ERROR").await;
    let request = Request::get("/api/v1/projects/a/things/b")
        .header("x-http-method-override", "DELETE")
        .header("x-original-url", "/api/v1/nothing");
    let answer = World::new().send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "what claims to be another request is not listened to");
    assert_eq!(answer.json()["name"], json!("projects/a/things/b"));
}
