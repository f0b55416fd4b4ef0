//! Functions over a log in memory: how they were at any moment, and what is published of them.

use std::sync::Arc;
use std::time::Duration;

use cairn_access::ProjectQuota;
use cairn_eventstore::{Commands, EventStore, Memory};
use cairn_kernel::{AsOf, Clock, Expected, Position, Revision, SimClock, Time};
use cairn_objects::{Digest, Signer, of_bytes};
use cairn_registry::app::Call;
use cairn_registry::functions::{Config, FunctionRecord, FunctionSearch, Functions, NewVersion, Visible};
use cairn_registry::model::function::{Command, Document, FunctionName, FunctionVersionName};
use cairn_service::Refusal;
use cairn_tlog::{Kind, Note, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{call, project, request};

struct Shop {
    functions: Functions,
    store: Memory,
    clock: SimClock,
    _folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = SimClock::default();
        let store = Memory::with_clock(Arc::new(clock.clone()));
        let log: Arc<dyn EventStore> = Arc::new(store.clone());
        let commands = Commands::new(Arc::clone(&log), Arc::new(clock.clone()), 64 << 20);
        let objects = Arc::new(cairn_objects::Memory::new(Signer::new(&[1; 32], "http://localhost")));
        let functions = Functions::start(objects, log, commands, folder.path(), config).unwrap();
        Self { functions, store, clock, _folder: folder }
    }

    fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    async fn create(&self, name: &str, spec: Value) -> Result<FunctionRecord, Refusal> {
        let command = Command::Create { name: function(name), document: document(spec) };
        let made = self.functions.change(&call(), &function(name), Expected::Any, command).await?;
        assert_eq!(made.position, self.head());
        Ok(made.value)
    }

    async fn patch(&self, name: &str, spec: Value) -> FunctionRecord {
        let command = Command::Patch(json!({"spec": spec}));
        self.functions.change(&call(), &function(name), Expected::Any, command).await.unwrap().value
    }

    async fn delete(&self, name: &str) -> FunctionRecord {
        self.functions.change(&call(), &function(name), Expected::Any, Command::Delete).await.unwrap().value
    }

    async fn spec_at(&self, name: &str, as_of: Option<AsOf>) -> Option<Value> {
        let found = self.functions.function(&call(), &function(name), as_of).await;
        found.ok().map(|record| Value::Object(record.document.spec))
    }

    async fn names(&self, labels: &[(&str, Option<&str>)], as_of: Option<AsOf>) -> Vec<String> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
        let mut search = FunctionSearch {
            project: project(),
            visible: Visible::All,
            labels,
            as_of,
            limit: 2,
            page_token: String::new(),
        };
        let mut names = vec![];
        loop {
            let page = self.functions.search(&call(), search.clone()).await.unwrap();
            names.extend(page.items.into_iter().map(|record| record.name.function().to_owned()));
            if page.next_page_token.is_empty() {
                return names;
            }
            search.page_token = page.next_page_token;
        }
    }

    /// Uploads some bytes and publishes them.
    async fn publish(&self, name: &str, bytes: &'static str, signature: &str) -> Result<(), Refusal> {
        let name: FunctionVersionName = format!("projects/p/functions/{name}").parse().unwrap();
        let sha256 = Digest::of(bytes.as_bytes());
        self.functions.upload(&call(), &name.function, sha256, of_bytes(bytes)).await?;
        let new = NewVersion { name, document: document(json!({})), sha256, signature: signature.to_owned() };
        self.functions.publish(&call(), new).await.map(drop)
    }
}

fn function(name: &str) -> FunctionName {
    format!("projects/p/functions/{name}").parse().unwrap()
}

fn document(spec: Value) -> Document {
    let Value::Object(spec) = spec else { panic!("a spec is an object") };
    Document { labels: [("team".to_owned(), "risk".to_owned())].into(), spec, ..Document::default() }
}

#[tokio::test]
async fn a_function_is_read_as_it_was_at_any_moment_also_after_its_deletion() {
    let shop = Shop::new();
    let before = (shop.head(), shop.clock.now());
    shop.clock.advance(Duration::from_secs(60));
    shop.create("train", json!({"image": "a"})).await.unwrap();
    let first = (shop.head(), shop.clock.now());
    shop.clock.advance(Duration::from_secs(60));
    let second = shop.patch("train", json!({"image": "b"})).await;
    assert_eq!((second.revision, second.document.spec["image"].as_str()), (2, Some("b")));
    let revised = (shop.head(), shop.clock.now());
    shop.clock.advance(Duration::from_secs(60));
    let gone = shop.delete("train").await;
    assert_eq!((gone.revision, gone.delete_time), (3, Some(shop.clock.now())));
    shop.clock.advance(Duration::from_secs(60));

    assert_eq!(shop.spec_at("train", None).await, None);
    for ((position, time), expected) in
        [(before, None), (first, Some(json!({"image": "a"}))), (revised, Some(json!({"image": "b"})))]
    {
        assert_eq!(shop.spec_at("train", Some(AsOf::Position(position))).await, expected, "at {position}");
        assert_eq!(shop.spec_at("train", Some(AsOf::Time(time))).await, expected, "at {time}");
    }
    assert_eq!(shop.spec_at("train", Some(AsOf::Position(shop.head()))).await, None);
    assert_eq!(shop.names(&[], None).await, [""; 0]);
    assert_eq!(shop.names(&[], Some(AsOf::Time(revised.1))).await, ["train"]);
    // A name that comes back counts on and begins anew.
    let again = shop.create("train", json!({})).await.unwrap();
    assert_eq!((again.revision, again.create_time), (4, shop.clock.now()));
    let page = shop.functions.revisions(&call(), &function("train"), 3, "").await.unwrap();
    let revisions: Vec<u32> = page.items.iter().map(|record| record.revision).collect();
    assert_eq!(revisions, [4, 3, 2]);
    let rest = shop.functions.revisions(&call(), &function("train"), 3, &page.next_page_token).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].revision), (1, 1));
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_what_it_made_whatever_came_after_it() {
    let shop = Shop::new();
    let create = || Command::Create { name: function("f"), document: document(json!({"n": 1})) };
    let first = shop.functions.change(&request("k"), &function("f"), Expected::Any, create()).await.unwrap();
    shop.patch("f", json!({"n": 2})).await;
    let again = shop.functions.change(&request("k"), &function("f"), Expected::Any, create()).await.unwrap();
    assert_eq!(again.value, first.value);
    assert_eq!(again.position, first.position);
    let other = shop.functions.change(&request("other"), &function("f"), Expected::Any, create()).await;
    assert_eq!(other.unwrap_err().reason, "FUNCTION_EXISTS");
}

#[tokio::test]
async fn a_change_decided_on_an_old_state_is_refused() {
    let shop = Shop::new();
    let made = shop.create("f", json!({"n": 1})).await.unwrap();
    let expected = Expected::Exactly(Revision(made.etag));
    let patch = |n: u32| Command::Patch(json!({"spec": {"n": n}}));
    shop.functions.change(&call(), &function("f"), expected, patch(2)).await.unwrap();
    let late = shop.functions.change(&call(), &function("f"), expected, patch(3)).await.unwrap_err();
    assert_eq!(late.reason, "ETAG_MISMATCH");
}

#[tokio::test]
async fn a_project_is_listed_by_name_and_by_label_page_by_page() {
    let shop = Shop::new();
    for name in ["c", "a", "b", "d", "e"] {
        shop.create(name, json!({})).await.unwrap();
    }
    let other = Command::Patch(json!({"labels": {"team": "sales", "gpu": ""}}));
    shop.functions.change(&call(), &function("b"), Expected::Any, other).await.unwrap();
    assert_eq!(shop.names(&[], None).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(shop.names(&[("team", Some("risk"))], None).await, ["a", "c", "d", "e"]);
    assert_eq!(shop.names(&[("gpu", None)], None).await, ["b"]);
    assert_eq!(shop.names(&[("team", Some("' OR 1=1 --"))], None).await, [""; 0]);
}

#[tokio::test]
async fn what_was_published_counts_from_then_on_and_until_the_deletion() {
    let shop = Shop::new();
    shop.create("f", json!({})).await.unwrap();
    let created = shop.head();
    shop.publish("f/versions/1.0", "one", "").await.unwrap();
    shop.publish("f/versions/1.1", "two", "").await.unwrap();
    let published = shop.head();
    let now = shop.functions.function(&call(), &function("f"), None).await.unwrap();
    assert_eq!((now.version_count, now.latest.unwrap().0.as_str()), (2, "1.1"));
    let then = shop.functions.function(&call(), &function("f"), Some(AsOf::Position(created))).await.unwrap();
    assert_eq!((then.version_count, then.latest), (0, None));
    let latest = "projects/p/functions/f/versions/latest".parse().unwrap();
    let found = shop.functions.version(&call(), &latest).await.unwrap();
    let bytes = cairn_objects::collect(shop.functions.package(&found).await.unwrap(), 100).await.unwrap();
    assert_eq!(bytes, "two");
    assert_eq!(shop.publish("f/versions/1.0", "other", "").await.unwrap_err().reason, "FUNCTION_VERSION_EXISTS");
    shop.delete("f").await;
    assert_eq!(shop.functions.version(&call(), &latest).await.unwrap_err().reason, "FUNCTION_VERSION_NOT_FOUND");
    let was = shop.functions.function(&call(), &function("f"), Some(AsOf::Position(published))).await.unwrap();
    assert_eq!(was.version_count, 2);
    assert_eq!(shop.publish("f/versions/1.2", "one", "").await.unwrap_err().reason, "FUNCTION_NOT_FOUND");
}

#[tokio::test]
async fn a_package_that_is_not_what_its_digest_says_or_was_never_sent_is_not_published() {
    let shop = Shop::new();
    shop.create("f", json!({})).await.unwrap();
    let wrong = shop.functions.upload(&call(), &function("f"), Digest::of(b"one"), of_bytes("two")).await.unwrap_err();
    assert_eq!(wrong.reason, "CONTENT_MISMATCH");
    let name = "projects/p/functions/f/versions/1".parse().unwrap();
    let new = NewVersion { name, document: document(json!({})), sha256: Digest::of(b"one"), signature: String::new() };
    assert_eq!(shop.functions.publish(&call(), new).await.unwrap_err().reason, "FUNCTION_PACKAGE_MISSING");
}

#[tokio::test]
async fn a_signature_is_over_this_very_package_and_by_a_key_that_is_trusted() {
    let key = |name: &str| SigningKey::from_seed(name.parse().unwrap(), Kind::Log, &SigningKey::new_seed());
    let (ours, other) = (key("ours"), key("other"));
    let signed = |key: &SigningKey, version: &str, bytes: &str| {
        let name: FunctionVersionName = format!("projects/p/functions/{version}").parse().unwrap();
        let text = name.statement(&Digest::of(bytes.as_bytes()).to_string());
        let signatures = vec![key.sign(&text, 0)];
        Note { text, signatures }.to_string()
    };
    let config = Config { trusted_keys: vec![ours.verifying().to_string()], ..Config::default() };
    let shop = Shop::with(config);
    shop.create("f", json!({})).await.unwrap();
    for signature in [
        String::new(),
        "nonsense".to_owned(),
        signed(&ours, "f/versions/2", "one"),
        signed(&ours, "f/versions/1", "two"),
        signed(&ours, "g/versions/1", "one"),
        signed(&other, "f/versions/1", "one"),
    ] {
        let refused = shop.publish("f/versions/1", "one", &signature).await.unwrap_err();
        assert_eq!(refused.reason, "FUNCTION_SIGNATURE_INVALID", "{signature}");
    }
    shop.publish("f/versions/1", "one", &signed(&ours, "f/versions/1", "one")).await.unwrap();
}

#[tokio::test]
async fn packages_that_were_never_published_are_swept_away_and_others_never() {
    let shop = Shop::new();
    shop.create("f", json!({})).await.unwrap();
    shop.publish("f/versions/1", "kept", "").await.unwrap();
    shop.functions.upload(&call(), &function("f"), Digest::of(b"orphan"), of_bytes("orphan")).await.unwrap();
    // Objects in memory are as old as time.
    shop.clock.set(Time::default());
    assert_eq!(shop.functions.sweep(Duration::from_secs(10)).await.unwrap(), 0, "it may be on its way");
    shop.clock.advance(Duration::from_hours(72));
    assert_eq!(shop.functions.sweep(Duration::from_secs(10)).await.unwrap(), 1);
    let latest = "projects/p/functions/f/versions/latest".parse().unwrap();
    let found = shop.functions.version(&call(), &latest).await.unwrap();
    let bytes = cairn_objects::collect(shop.functions.package(&found).await.unwrap(), 100).await.unwrap();
    assert_eq!(bytes, "kept");
}

#[tokio::test]
async fn the_view_built_from_the_start_is_the_one_that_followed() {
    let shop = Shop::new();
    for name in ["a", "b"] {
        shop.create(name, json!({"n": 1})).await.unwrap();
        shop.publish(&format!("{name}/versions/1"), "one", "").await.unwrap();
        shop.patch(name, json!({"n": 2})).await;
    }
    shop.delete("a").await;
    let verdict = shop.functions.view().verify().await.unwrap();
    assert!(verdict.tables.iter().all(|table| table.difference.is_none()), "{verdict:?}");
}

#[tokio::test]
async fn packages_beyond_a_projects_quota_are_refused_and_those_of_deleted_functions_leave_their_room() {
    let shop = Shop::new();
    for name in ["f", "g"] {
        shop.create(name, json!({})).await.unwrap();
    }
    let quota = ProjectQuota { storage_bytes_max: Some(10), ..ProjectQuota::default() };
    let limited = || Call { quota, ..call() };
    let publish = async |name: &str, bytes: &'static str| {
        let name: FunctionVersionName = format!("projects/p/functions/{name}").parse().unwrap();
        let sha256 = Digest::of(bytes.as_bytes());
        shop.functions.upload(&limited(), &name.function, sha256, of_bytes(bytes)).await?;
        let new = NewVersion { name, document: document(json!({})), sha256, signature: String::new() };
        shop.functions.publish(&limited(), new).await.map(drop)
    };
    publish("f/versions/1", "sixsix").await.unwrap();
    let refused = publish("g/versions/1", "five5").await.unwrap_err();
    assert_eq!(refused.reason, "QUOTA_EXCEEDED");
    assert!(refused.metadata.contains(&("used", "6".to_owned())), "{refused:?}");
    // The same package once more is the same bytes, and what was uploaded before the limit is held against it too.
    publish("f/versions/2", "sixsix").await.unwrap();
    shop.functions.upload(&call(), &function("g"), Digest::of(b"five5"), of_bytes("five5")).await.unwrap();
    let new = NewVersion {
        name: "projects/p/functions/g/versions/1".parse().unwrap(),
        document: document(json!({})),
        sha256: Digest::of(b"five5"),
        signature: String::new(),
    };
    assert_eq!(shop.functions.publish(&limited(), new).await.unwrap_err().reason, "QUOTA_EXCEEDED");
    shop.delete("f").await;
    publish("g/versions/1", "five5").await.unwrap();
}
