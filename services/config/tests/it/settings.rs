//! Settings of the suite itself, in two processes over one log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_config::{Replica, follow};
use cairn_contract::cairn::config::v1 as proto;
use prost_types::Value;
use prost_types::value::Kind;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::suite::{Ground, Suite, reason};

const PLATFORM: &str = "environments/platform";
const SOAK: Duration = Duration::from_millis(400);
/// What a test waits for comes sooner, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

type Values = BTreeMap<String, serde_json::Value>;

/// A process that is not well with some rates.
struct Process {
    applied: watch::Sender<Values>,
    rate_max: u64,
}

#[async_trait]
impl Replica for Process {
    fn apply(&self, values: &Values) -> Result<(), String> {
        self.applied.send_replace(values.clone());
        Ok(())
    }

    async fn complaint(&self) -> Option<String> {
        let rate = self.applied.borrow().get("test.rate").and_then(serde_json::Value::as_u64).unwrap_or(0);
        (rate > self.rate_max).then(|| "too fast".to_owned())
    }
}

/// A process that follows, and what it goes by.
struct Running {
    values: watch::Receiver<Values>,
    follower: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

async fn process(suite: &Suite, name: &str, rate_max: u64) -> Running {
    let (applied, mut values) = watch::channel(Values::new());
    let replica = Arc::new(Process { applied, rate_max });
    let follower = tokio::spawn(follow(suite.deps.commands.clone(), name.to_owned(), SOAK, replica));
    // It has begun once it has taken over what is there.
    timeout(PATIENCE, values.changed()).await.unwrap().unwrap();
    Running { values, follower }
}

impl Running {
    async fn goes_by(&mut self, expected: serde_json::Value) {
        let is_so = |values: &Values| json!(values) == expected;
        let has_come = timeout(PATIENCE, self.values.wait_for(is_so)).await.is_ok();
        assert!(has_come, "it goes by {:?}", *self.values.borrow());
    }
}

fn number(number: f64) -> Value {
    Value { kind: Some(Kind::NumberValue(number)) }
}

async fn set(suite: &Suite, key: &str, value: Value, staged: bool) -> Result<proto::ConfigRevision, Status> {
    let request = proto::ReviseConfigRequest {
        environment: PLATFORM.into(),
        changes: vec![proto::EntryChange { key: key.into(), value: Some(value) }],
        reason: "a test".into(),
        staged,
        ..Default::default()
    };
    Ok(suite.config().revise_config(suite.admin(request)).await?.into_inner())
}

#[tokio::test]
async fn a_setting_reaches_every_process_within_a_second_and_a_bad_one_none_s4_126() {
    let suite = Suite::begun().await;
    let (mut one, mut other) = (process(&suite, "one", 100).await, process(&suite, "other", 100).await);
    let watch = proto::WatchConfigRequest { environment: PLATFORM.into() };
    let mut watching = suite.config().watch_config(suite.admin(watch)).await.unwrap().into_inner();
    assert!(watching.message().await.unwrap().unwrap().entries.is_empty(), "it is there without being made");
    assert_eq!(set(&suite, "test.rate", number(5.0), false).await.unwrap().revision, 1);
    let second = Duration::from_secs(1);
    for process in [&mut one, &mut other] {
        timeout(second, process.goes_by(json!({"test.rate": 5}))).await.expect("within a second");
    }
    assert_eq!(watching.message().await.unwrap().unwrap().entries.len(), 1);
    for (key, value) in [("test.rate", number(1.5)), ("test.unheard", number(1.0))] {
        let refused = set(&suite, key, value, false).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "CONFIG_VALUE_INVALID"));
    }
    one.goes_by(json!({"test.rate": 5})).await;

    // Whoever may change a project may not change the suite.
    let editor = suite.user("roles/manager", "projects/default").await;
    let request = proto::SetEntryRequest {
        name: format!("{PLATFORM}/entries/test.rate"),
        value: Some(number(1.0)),
        ..Default::default()
    };
    let refused = suite.config().set_entry(suite.by(&editor, request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    // A process that begins later begins with it; going back reaches all.
    process(&suite, "late", 100).await.goes_by(json!({"test.rate": 5})).await;
    let back = proto::RollBackConfigRequest { environment: PLATFORM.into(), ..Default::default() };
    suite.config().roll_back_config(suite.admin(back)).await.unwrap();
    one.goes_by(json!({})).await;
    other.goes_by(json!({})).await;
}

#[tokio::test]
async fn a_staged_setting_is_tried_by_one_process_before_the_others_take_it_over_s4_126() {
    let suite = Suite::begun().await;
    let (mut one, mut other) = (process(&suite, "one", 100).await, process(&suite, "other", 100).await);
    set(&suite, "test.rate", number(7.0), true).await.unwrap();
    let (first, second) = tokio::select! {
        () = one.goes_by(json!({"test.rate": 7})) => (&one, &mut other),
        () = other.goes_by(json!({"test.rate": 7})) => (&other, &mut one),
    };
    assert_eq!(json!(*first.values.borrow()), json!({"test.rate": 7}));
    assert_eq!(json!(*second.values.borrow()), json!({}), "the others wait");
    second.goes_by(json!({"test.rate": 7})).await;
    assert_eq!((suite.count("RolloutBegun").await, suite.count("RolloutFinished").await), (1, 1));
    assert_eq!(suite.count("RolloutAbandoned").await, 0);
}

#[tokio::test]
async fn a_setting_that_a_process_is_not_well_with_is_taken_back_for_all_and_on_record_s4_126() {
    let ground = Ground::new();
    let suite = ground.start().await;
    set(&suite, "test.rate", number(3.0), false).await.unwrap();
    let (mut one, mut other) = (process(&suite, "one", 10).await, process(&suite, "other", 10).await);
    for (staged, at) in [(true, 1), (false, 2)] {
        set(&suite, "test.rate", number(50.0), staged).await.unwrap();
        let abandoned = async {
            while suite.count("RolloutAbandoned").await < at {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, abandoned).await.expect("it is taken back");
        one.goes_by(json!({"test.rate": 3})).await;
        other.goes_by(json!({"test.rate": 3})).await;
    }
    assert_eq!(suite.count("RolloutFinished").await, 0);
    let listed = async {
        loop {
            let list = proto::ListConfigRevisionsRequest { environment: PLATFORM.into(), ..Default::default() };
            let answer = suite.config().list_config_revisions(suite.admin(list)).await.unwrap().into_inner();
            // What is read may be a moment behind what is recorded.
            if answer.revisions.len() == 5 {
                break answer.revisions;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let revisions = timeout(PATIENCE, listed).await.expect("it is listed");
    let told: Vec<(u32, &str, Option<u32>)> = revisions
        .iter()
        .map(|revision| (revision.revision, revision.author.as_str(), revision.rolled_back_to))
        .collect();
    assert_eq!(told[0], (5, "services/config", Some(3)));
    assert_eq!(told[2], (3, "services/config", Some(1)));
    assert!(revisions[2].reason.contains("was not well with revision 2"), "{}", revisions[2].reason);
}
