//! What a viewer is told of what happened, through the public door.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::suite::Suite;

/// Longest wait for a role to take effect.
const PATIENCE: Duration = Duration::from_secs(20);

async fn get(suite: &Suite, path: &str, key: &str) -> (StatusCode, Value) {
    let answer = suite.send("GET", &format!("/api/v1/{path}"), None, Some(key), "").await;
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_the_history_of_a_run_but_neither_the_log_nor_who_may_do_what() {
    let suite = Suite::start().await;
    let run = json!({"display_name": "tried", "tags": {"team": "risk"}});
    let run = suite.ask("POST", "/api/v1/projects/default/experiments/0/runs", Some(&run)).await;
    let run = run["name"].as_str().unwrap().to_owned();
    suite
        .ask("PATCH", &format!("/api/v1/{run}?update_mask=display_name"), Some(&json!({"display_name": "kept"})))
        .await;
    let viewer = suite.powerless().await;
    assert_eq!(get(&suite, &format!("history/{run}"), &viewer).await.0, StatusCode::FORBIDDEN);
    let binding =
        json!({"principal": "serviceAccounts/powerless", "role": "roles/viewer", "resource": "projects/default"});
    let binding = suite.ask("POST", "/api/v1/bindings", Some(&json!({"binding": binding}))).await;
    let binding = binding["name"].as_str().unwrap().to_owned();
    let deadline = Instant::now() + PATIENCE;
    while get(&suite, &run, &viewer).await.0 == StatusCode::FORBIDDEN {
        assert!(Instant::now() < deadline, "the role did not take effect");
    }

    let (status, told) = get(&suite, &format!("history/{run}"), &viewer).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let events = told["events"].as_array().unwrap();
    let kinds: Vec<_> =
        events.iter().map(|event| event["type"].as_str().unwrap().rsplit('.').next().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"RunCreated"), Some(&"RunRenamed")), "{kinds:?}");
    assert_eq!(events.last().unwrap()["data"]["to_display_name"], "kept");
    let (_, whole) = get(&suite, &format!("history/{run}"), &suite.admin).await;
    for (event, whole) in events.iter().zip(whole["events"].as_array().unwrap()) {
        assert_eq!(event["principal"], "users/admin");
        assert!(event["event_time"].is_string());
        for field in ["source_address", "request_id", "decision_id", "correlation_id", "causation_id", "traceparent"] {
            assert!(event[field].is_null(), "a viewer is told {field}: {event}");
        }
        assert!(whole["source_address"].is_string() && whole["request_id"].is_string(), "an administrator is: {whole}");
    }
    for path in ["events", "audit", "audit:export", &format!("history/{binding}"), "history/users/admin"] {
        assert_eq!(get(&suite, path, &viewer).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    suite.stop().await;
}
