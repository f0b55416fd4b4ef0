use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::world::{Answer, World};

const ECHO: &str = "/api/2.0/mlflow/echo";

async fn echoed(body: &str) -> Value {
    let answer = World::new().post(ECHO, body.to_owned()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()
}

#[tokio::test]
async fn numbers_are_read_however_they_are_spelled_and_written_as_numbers() {
    for spelled in ["1700000000000", "\"1700000000000\"", "1700000000000.0", "\"1700000000000.0\"", "1.7e12"] {
        let json = echoed(&format!("{{\"an_int64\": {spelled}}}")).await;
        assert_eq!(json, json!({ "an_int64": 1_700_000_000_000_i64 }), "{spelled}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_passed_over() {
    let body = r#"{"unheard_of": {"a": [1]}, "a_string": "x", "state": "STATE_ODD", "inner": {"no": 1}}"#;
    assert_eq!(echoed(body).await, json!({ "a_string": "x", "inner": {} }));
}

#[tokio::test]
async fn not_a_number_is_a_number() {
    for spelled in ["NaN", "\"NaN\""] {
        let json = echoed(&format!("{{\"a_string\": \"NaN \\\" NaN\", \"a_double\": {spelled}}}")).await;
        assert_eq!(json, json!({ "a_string": "NaN \" NaN", "a_double": "NaN" }), "{spelled}");
    }
    let body = r#"{"doubles": [Infinity, -Infinity, "-Infinity", true, 1]}"#;
    assert_eq!(echoed(body).await, json!({ "doubles": ["Infinity", "-Infinity", "-Infinity", 1.0, 1.0] }));
}

#[tokio::test]
async fn set_and_empty_is_present_and_unset_is_absent() {
    assert_eq!(echoed("").await, json!({}));
    let body = r#"{"maybe_string": "", "maybe_int64": 0, "maybe_bool": false, "strings": [], "a_string": ""}"#;
    assert_eq!(echoed(body).await, json!({ "maybe_string": "", "maybe_int64": 0, "maybe_bool": false }));
}

#[tokio::test]
async fn a_get_takes_the_same_fields_as_parameters() {
    let world = World::new();
    let path = format!("{ECHO}?strings=a&strings=b&maybe_int64=5&a_bool=true&unheard_of=1&state=STATE_OPEN");
    let answer = world.get(&path).await;
    let expected = json!({ "strings": ["a", "b"], "maybe_int64": 5, "a_bool": true, "state": "STATE_OPEN" });
    assert_eq!(answer.json(), expected);
    let answer = world.post(&format!("{ECHO}?a_string=ignored"), "{}").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({})));
}

#[tokio::test]
async fn the_project_comes_from_the_path_else_the_header_else_is_default() {
    let world = World::new();
    let project = || world.things.last().metadata.get("cairn-project").unwrap().to_str().unwrap().to_owned();
    world.post(ECHO, "{}").await;
    assert_eq!(project(), "projects/default");
    let request =
        |path: &str| Request::post(path).header("x-mlflow-workspace", "fraud").body(Body::from("{}")).unwrap();
    world.send(request(ECHO)).await;
    assert_eq!(project(), "projects/fraud");
    world.send(request("/projects/vision/api/2.0/mlflow/echo")).await;
    assert_eq!(project(), "projects/vision");
    world.send(request("/projects/vision/ajax-api/2.0/mlflow/echo")).await;
    assert_eq!(project(), "projects/vision");

    let answer = world.get("/projects/vision/api/v1/projects/a/things/b").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "only the dialect that needs it has the prefix");
    let request = Request::get("/api/v1/projects/a/things/b").header("cairn-project", "projects/forged");
    world.send(request.body(Body::empty()).unwrap()).await;
    assert!(world.things.last().metadata.get("cairn-project").is_none());
}

#[tokio::test]
async fn errors_are_in_mlflows_words() {
    let world = World::new();
    let check = |answer: Answer, status: StatusCode, code: &str| {
        let json = answer.json();
        assert_eq!((answer.status, json["error_code"].as_str().unwrap()), (status, code), "{json}");
        assert!(!json["message"].as_str().unwrap().is_empty());
        assert!(!json["trace_id"].as_str().unwrap().is_empty());
    };
    let bad = |body: &str| world.post(ECHO, body.to_owned());
    check(bad(r#"{"an_int64": "x"}"#).await, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    check(bad("garbage").await, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    check(bad("[]").await, StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE");
    check(world.get("/api/2.0/mlflow/nothing").await, StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND");
    let delete = Request::delete(ECHO).body(Body::empty()).unwrap();
    check(world.send(delete).await, StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST");
    let forged = Request::post(ECHO).header("authorization", "Bearer x").body(Body::empty()).unwrap();
    let answer = world.send(forged).await;
    assert!(answer.headers.contains_key("www-authenticate"));
    check(answer, StatusCode::UNAUTHORIZED, "UNAUTHENTICATED");
}
