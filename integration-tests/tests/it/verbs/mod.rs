//! The verbs of every kind of resource: step by step against a model in memory, and after a crash.

mod kinds;
mod model;

use std::collections::BTreeMap;
use std::path::Path;

use cairn::suite::Engines;
use serde_json::{Value, json};
use uuid::Uuid;

use self::kinds::{Home, KINDS};
use self::model::Model;
use crate::suite::{self, Suite};

/// Workers side by side, each with things of its own.
const WORKERS: usize = 8;
/// Steps of all workers together.
const STEPS: usize = 10_000;

async fn home(suite: &Suite, worker: usize) -> Home {
    let id = format!("home-{worker}");
    suite.ask("POST", "/api/v1/projects", Some(&json!({"project_id": id}))).await;
    suite.ask("POST", "/api/v1/serviceAccounts", Some(&json!({"service_account_id": id}))).await;
    let (project, account) = (format!("projects/{id}"), format!("serviceAccounts/{id}"));
    let name = |made: Value| made["name"].as_str().unwrap().to_owned();
    let experiment = json!({"display_name": "home"});
    let experiment = name(suite.ask("POST", &format!("/api/v1/{project}/experiments"), Some(&experiment)).await);
    let run = json!({"display_name": "home"});
    let run = name(suite.ask("POST", &format!("/api/v1/{experiment}/runs"), Some(&run)).await);
    let model = json!({"display_name": "home"});
    let model = name(suite.ask("POST", &format!("/api/v1/{project}/models"), Some(&model)).await);
    Home { worker, project, experiment, run, model, account }
}

/// Takes so many steps. Gives how often each worker has seen each verb of each resource.
pub async fn walked(suite: &Suite, steps: usize) -> Vec<BTreeMap<(&'static str, &'static str), usize>> {
    let seed = match std::env::var("CAIRN_SEED") {
        Ok(seed) => seed.parse().expect("CAIRN_SEED is a number"),
        Err(_) => Uuid::new_v4().as_u128() as u64,
    };
    println!("seed {seed}: CAIRN_SEED={seed} repeats it");
    let workers = (0..WORKERS).map(|worker| async move {
        let mut model = Model::new(home(suite, worker).await, seed.wrapping_add(worker as u64));
        for step in 0..steps / WORKERS {
            model
                .step(suite)
                .await
                .unwrap_or_else(|fault| panic!("seed {seed}, worker {worker}, step {step}: {fault}"));
        }
        model.seen
    });
    futures::future::join_all(workers).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_of_every_resource_does_what_a_model_in_memory_does_s0_22() {
    let suite = Suite::start().await;
    let seen = walked(&suite, STEPS).await;
    suite.stop().await;
    for kind in KINDS {
        for verb in ["create", "get", "list", "update", "delete"] {
            let has_it = verb != "update" || kind.update.is_some();
            let count: usize = seen.iter().filter_map(|seen| seen.get(&(kind.noun, verb))).sum();
            assert_eq!(count > 0, has_it, "{verb} of a {}: {count} times", kind.noun);
        }
    }
    assert_eq!(seen.iter().flat_map(|seen| seen.values()).sum::<usize>(), STEPS);
}

#[test]
fn what_was_created_is_there_after_a_crash_before_any_view_heard_of_it_s0_23() {
    let folder = tempfile::tempdir().unwrap();
    let (data, before) = (folder.path().join("data"), folder.path().join("views before"));
    let home = in_its_own_process(&data, async |suite| home(suite, 0).await);
    copy(&data.join("views"), &before);
    let made = in_its_own_process(&data, async |suite| {
        let mut made = vec![];
        for kind in KINDS {
            let (verb, path, body) = (kind.create)(&home, 1, "made", "a");
            let mut answer = suite.ask(verb, &path, body.as_ref()).await;
            // Shown once, to whoever asked for it.
            answer.as_object_mut().unwrap().remove("secret");
            let name = answer["name"].as_str().unwrap_or_default().to_owned();
            assert!(name.contains('/'), "a {} comes with its name: {answer}", kind.noun);
            assert!(answer["etag"].is_string(), "and with its revision: {answer}");
            made.push((kind.noun, name, answer));
        }
        made
    });
    let all_are_there = async |suite: &Suite| {
        for (noun, name, answer) in &made {
            assert_eq!(&suite.ask("GET", &format!("/api/v1/{name}"), None).await, answer, "a {noun}");
        }
    };
    // The log has them and no view does: as a crash leaves it between append and projection.
    std::fs::remove_dir_all(data.join("views")).unwrap();
    copy(&before, &data.join("views"));
    in_its_own_process(&data, all_are_there);

    // Nor does it matter if there are no views at all.
    std::fs::remove_dir_all(data.join("views")).unwrap();
    in_its_own_process(&data, all_are_there);
}

fn in_its_own_process<T>(data: &Path, work: impl AsyncFnOnce(&Suite) -> T) -> T {
    suite::in_its_own_process(data, "sqlite", &Engines::default(), &[], work)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
