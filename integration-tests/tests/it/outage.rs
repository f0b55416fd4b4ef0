//! The suite over a log that fails: what people are told, through the public door.

use std::sync::{Arc, OnceLock};

use cairn::suite::{Engines, engines};
use cairn_contract::Contract;
use cairn_contract::cairn::options::v1::Dialect;
use cairn_testkit::{Faults, FaultyStore};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::contract::{body, path};
use crate::suite::Suite;

/// The log has stopped: it takes nothing, and gives nothing.
const STOPPED: Faults = Faults { lost_append: 1.0, lost_read: 1.0, ..Faults::NONE };
/// The log's disk is full: it takes nothing.
const FULL: Faults = Faults { storage_full: 1.0, ..Faults::NONE };

/// A suite and what stands before its log.
async fn suite() -> (Suite, Arc<FaultyStore>) {
    let faulty: Arc<OnceLock<Arc<FaultyStore>>> = Arc::default();
    let before = Arc::clone(&faulty);
    let engines = Engines::default().with("faulty", move |loaded, folder| {
        let before = Arc::clone(&before);
        Box::pin(async move {
            let store = engines::sqlite(loaded, folder).await?;
            let faulty = before.get_or_init(|| Arc::new(FaultyStore::new(store, 1, Faults::NONE)));
            Ok(Arc::clone(faulty) as _)
        })
    });
    let suite = Suite::start_on("faulty", &engines).await;
    (suite, Arc::clone(faulty.get().expect("the suite was started over it")))
}

/// Status and reason of an answer; of MLflow's dialect, its own error code; of those of SCIM and Vault, what is said.
async fn told(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    let error = &body["error"];
    let reason =
        [&error["reason"], &error["details"][0]["reason"], &body["error_code"], &body["detail"], &body["errors"][0]];
    (status, reason.iter().find_map(|reason| reason.as_str()).unwrap_or_default().to_owned())
}

/// Whatever changes something needs the log, if only to record that it was refused. Reads of views go on.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_is_stopped_every_change_and_every_read_of_it_says_so_and_nothing_fails_inside_s0_6() {
    let (suite, store) = suite().await;
    store.set(STOPPED);
    let (mut complaints, mut reads) = (vec![], 0);
    for method in Contract::embedded().unwrap().methods() {
        for (at, binding) in method.bindings.iter().enumerate() {
            let id = format!("{}-{at}", method.path.replace('/', "-"));
            let body = body(binding);
            let answer = suite.send(&binding.verb, &path(binding), body.as_ref(), Some(&suite.admin), &id).await;
            let (status, reason) = told(answer).await;
            let is_told = status == StatusCode::SERVICE_UNAVAILABLE
                && match method.dialect {
                    Dialect::Scim | Dialect::Vault => !reason.is_empty(),
                    _ => ["STORE_UNAVAILABLE", "TEMPORARILY_UNAVAILABLE"].contains(&reason.as_str()),
                };
            reads += usize::from(is_told && method.is_read);
            // What is public is refused to a stranger before the log is needed, and that is recorded later.
            let may_go_on = method.is_read || method.is_public;
            let is_right = is_told || status == StatusCode::NOT_IMPLEMENTED || may_go_on && !status.is_server_error();
            if !is_right {
                complaints.push(format!("{} {} ({}): {status} {reason}", binding.verb, path(binding), method.path));
            }
        }
    }
    store.set(Faults::NONE);
    suite.ask("POST", "/api/v1/projects/default/experiments", Some(&json!({"display_name": "after"}))).await;
    suite.stop().await;
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
    assert!(reads > 0, "no read needed the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_by_its_own_name_and_reads_go_on() {
    let (suite, store) = suite().await;
    let experiments = "/api/v1/projects/default/experiments";
    suite.ask("POST", experiments, Some(&json!({"display_name": "before"}))).await;
    store.set(FULL);
    let refused = suite.send("POST", experiments, Some(&json!({"display_name": "x"})), Some(&suite.admin), "w").await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(told(refused).await, (StatusCode::SERVICE_UNAVAILABLE, "STORAGE_FULL".to_owned()));
    let found = suite.ask("GET", experiments, None).await;
    assert!(found.to_string().contains("before"), "{found}");
    store.set(Faults::NONE);
    suite.ask("POST", experiments, Some(&json!({"display_name": "after"}))).await;
    suite.stop().await;
}
