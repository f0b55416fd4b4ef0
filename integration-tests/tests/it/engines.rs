//! The registry on every engine that its log can be kept in, one of them somebody else's.

use std::path::Path;
use std::sync::Arc;

use cairn::suite::Engines;
use cairn_eventstore::Memory;
use serde_json::{Value, json};

use crate::suite::{Suite, in_its_own_process};
use crate::verbs::walked;

/// Steps of the walk over every verb.
const STEPS: usize = 400;

/// What is asked after a restart again.
const ASKED: &[&str] = &[
    "/api/v1/projects/team/models",
    "/api/v1/projects/team/modelVersions?filter=tags.kind%20=%20'b'%20and%20not%20stage%20=%20'archived'",
    "/api/v1/projects/team:summarizeRegistry",
    "/api/v1/audit?page_size=1000&resource=projects/team&outcome=OUTCOME_COMMITTED",
];

/// A model with two versions, an alias, stages and tags. Gives where they are read.
async fn models(suite: &Suite) -> Vec<String> {
    let post = async |path: &str, body: Value| suite.ask("POST", &format!("/api/v1/{path}"), Some(&body)).await;
    post("projects", json!({"project_id": "team"})).await;
    let made = post("projects/team/models", json!({"display_name": "fraud", "tags": {"owner": "ada"}})).await;
    let model = made["name"].as_str().unwrap();
    for (number, kind) in [(1, "a"), (2, "b")] {
        let version = json!({"model_version": {"framework": "sklearn", "hyperparameters": {"depth": "3"}, "metrics": {"auc": 0.9}, "tags": {"kind": kind}}});
        assert_eq!(post(&format!("{model}/versions"), version).await["version"], number);
    }
    post(&format!("{model}:setAlias"), json!({"alias": "champion", "version": 2})).await;
    for number in [1, 2] {
        let change = json!({"stage": "STAGE_PRODUCTION", "archive_existing_versions": true});
        post(&format!("{model}/versions/{number}:transition"), change).await;
    }
    let found = suite.ask("GET", &format!("/api/v1/{model}:resolve?alias=champion"), None).await;
    assert_eq!((&found["version"], &found["stage"]), (&json!(2), &json!("STAGE_PRODUCTION")));
    let first = suite.ask("GET", &format!("/api/v1/{model}/versions/1"), None).await;
    assert_eq!(first["stage"], "STAGE_ARCHIVED");
    let places = [
        model.to_owned(),
        format!("{model}/versions"),
        format!("{model}/versions/1"),
        format!("{model}:resolve?alias=champion"),
    ];
    places.into_iter().map(|place| format!("/api/v1/{place}")).collect()
}

async fn answers(suite: &Suite, places: &[String]) -> Vec<Value> {
    let mut answers = vec![];
    for place in places {
        answers.push(suite.ask("GET", place, None).await);
    }
    answers
}

/// The whole life of models, and every verb of every resource; then the same answers after a restart without any view.
fn keeps_the_registry(data: &Path, engine: &str, engines: &Engines) {
    keeps_the_registry_with(data, engine, engines, &[]);
}

/// The same, with settings of its own.
fn keeps_the_registry_with(data: &Path, engine: &str, engines: &Engines, settings: &[(&str, &str)]) {
    let (places, before) = in_its_own_process(data, engine, engines, settings, async |suite| {
        walked(suite, STEPS).await;
        let mut places = models(suite).await;
        places.extend(ASKED.iter().map(ToString::to_string));
        let before = answers(suite, &places).await;
        assert_eq!(before[5]["model_versions"].as_array().map(Vec::len), Some(1), "{}", before[5]);
        (places, before)
    });
    std::fs::remove_dir_all(data.join("views")).unwrap();
    let after = in_its_own_process(data, engine, engines, settings, async |suite| answers(suite, &places).await);
    for ((place, before), after) in places.iter().zip(before).zip(after) {
        assert_eq!(after, before, "{place}");
    }
}

#[test]
fn the_registry_keeps_its_word_on_the_embedded_database_s4_57() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_registry(&folder.path().join("data"), "sqlite", &Engines::default());
}

#[test]
fn the_registry_keeps_its_word_on_a_file_of_json_lines_that_people_can_read_s4_56() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    keeps_the_registry(&data, "jsonl", &Engines::default());

    let text = std::fs::read_to_string(data.join("events/events.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<Value> = lines.flat_map(|line| line["events"].as_array().cloned().unwrap_or_default()).collect();
    let moved = events.iter().find(|event| event["type"] == "cairn.registry.events.v1.AliasMoved").unwrap();
    assert_eq!((&moved["data"]["alias"], &moved["data"]["to_version"]), (&json!("champion"), &json!(2)));
    assert_eq!(moved["metadata"]["principal"], "users/admin");
}

#[test]
fn the_registry_keeps_its_word_on_postgresql_s0_8() {
    let folder = tempfile::tempdir().unwrap();
    let server = cairn_testkit::postgres::Postgres::started(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let url = server.url();
    keeps_the_registry_with(&folder.path().join("data"), "postgres", &Engines::default(), &[("DATABASE_URL", &url)]);
    assert!(!folder.path().join("data/events/events.db").exists());
}

/// The engine is of this crate, which knows the traits that everybody is given and nothing inside.
#[test]
fn the_registry_keeps_its_word_on_an_engine_that_somebody_else_brings_s4_60() {
    let folder = tempfile::tempdir().unwrap();
    let store = Memory::new();
    let engines = Engines::default().with("theirs", move |_, _| {
        let store = store.clone();
        Box::pin(async { Ok(Arc::new(store) as _) })
    });
    keeps_the_registry(&folder.path().join("data"), "theirs", &engines);
}
