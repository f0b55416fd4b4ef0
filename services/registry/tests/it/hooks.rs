//! What hooks say before something happens, through whichever door.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{Commands, Direction, EventStore, Filter, Memory};
use cairn_kernel::{Clock, Expected, Position, SystemClock};
use cairn_registry::app::{App, HookChange, NewHook, NewWebhook};
use cairn_registry::hooks::{Delivery, State};
use cairn_registry::model::hook::{FailureMode, Format, Timing, Trigger};
use cairn_registry::model::{HookName, ModelName, Move, Stage, Target};
use cairn_registry::{Config, hooks, open};
use cairn_service::{AsOfReads, Refusal};
use futures::future::join_all;
use tempfile::TempDir;

use crate::sink::{Answer, Sink};
use crate::support::{by, call, new_model, new_version, objects, project, request};

/// This service with hooks that may reach this machine, by the machine's clock.
pub struct Hooked {
    pub app: App,
    store: Memory,
    folder: Arc<TempDir>,
}

impl Hooked {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut hooks::Config)) -> Self {
        Self::over(Memory::new(), Arc::new(TempDir::new().unwrap()), change)
    }

    /// Over what another left behind.
    pub fn over(store: Memory, folder: Arc<TempDir>, change: impl FnOnce(&mut hooks::Config)) -> Self {
        let allowed_private = vec!["127.0.0.1/32".to_owned()];
        let mut config = hooks::Config { allowed_private, backoff_ms: 1, ..hooks::Config::default() };
        change(&mut config);
        let (log, clock): (Arc<dyn EventStore>, Arc<dyn Clock>) = (Arc::new(store.clone()), Arc::new(SystemClock));
        let commands = Commands::new(Arc::clone(&log), Arc::clone(&clock), 64 << 20);
        let sealer = crate::support::sealer(folder.path());
        let tools = hooks::open(&log, commands.clone(), Arc::clone(&clock), folder.path(), config, sealer).unwrap();
        let past = AsOfReads::none(Arc::clone(&log), Arc::clone(&clock));
        let (app, _) = open(log, commands, clock, folder.path(), past, Config::default(), tools, objects()).unwrap();
        Self { app, store, folder }
    }

    pub async fn model(&self, display_name: &str) -> ModelName {
        self.app.create_model(&call(), &project(), new_model(display_name, &[])).await.unwrap().value.name
    }

    pub async fn try_create(&self, id: &str, new: NewHook) -> Result<String, Refusal> {
        let made = self.app.create_hook(&call(), &hook(id), new).await?;
        Ok(made.value.hook.definition.digest())
    }

    /// Makes a hook. Gives its digest.
    pub async fn create(&self, id: &str, new: NewHook) -> String {
        self.try_create(id, new).await.unwrap()
    }

    fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    pub async fn log_holds(&self, needle: &str) -> bool {
        let page = self.store.read_all(Position::START, Direction::Forwards, &Filter::all(), 10_000).await.unwrap();
        let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        page.events.iter().any(|event| holds(&event.payload) || holds(&event.metadata))
    }

    pub fn files_hold(&self, needle: &str) -> bool {
        let bytes = std::fs::read(self.folder.path().join("registry-hook-secrets.sqlite")).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    }

    /// How often each of so many deliveries was tried, newest first, once all of them were taken.
    pub async fn delivered(&self, id: &str, count: usize) -> Vec<u32> {
        loop {
            let found = self.deliveries(id, State::Delivered).await;
            if found.len() >= count {
                assert_eq!(found.len(), count);
                return found.iter().map(|delivery| delivery.attempts).collect();
            }
            tokio::task::yield_now().await;
        }
    }

    /// The newest dead letter, once there is one.
    pub async fn dead(&self, id: &str) -> Delivery {
        loop {
            if let Some(found) = self.deliveries(id, State::Dead).await.into_iter().next() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn deliveries(&self, id: &str, state: State) -> Vec<Delivery> {
        self.app.deliveries(&hook(id), Some(state), None, 100).await.unwrap().deliveries
    }

    pub async fn retry(&self, dead: &Delivery) -> Result<Delivery, Refusal> {
        let name = dead.hook.parse::<HookName>().unwrap().delivery(&dead.id).unwrap();
        self.app.retry_delivery(&name).await
    }
}

pub fn hook(id: &str) -> HookName {
    project().hook(id).unwrap()
}

pub fn webhook(url: &str, timing: Timing) -> NewWebhook {
    NewWebhook {
        url: Some(url.to_owned()),
        secret: Some("0123456789abcdef".into()),
        format: Format::Cairn,
        deadline: None,
        failure_mode: (timing == Timing::Before).then_some(FailureMode::Closed),
        mlflow_events: BTreeSet::new(),
    }
}

fn new(timing: Timing, on: &[Trigger], change: HookChange) -> NewHook {
    NewHook { timing, change: HookChange { triggers: Some(on.iter().copied().collect()), ..change } }
}

pub fn after(url: &str, on: &[Trigger]) -> NewHook {
    let webhook = Some(webhook(url, Timing::After));
    new(Timing::After, on, HookChange { webhook, ..HookChange::default() })
}

pub fn slack(url: &str, on: &[Trigger]) -> NewHook {
    let webhook = NewWebhook { secret: None, format: Format::Slack, ..webhook(url, Timing::After) };
    new(Timing::After, on, HookChange { webhook: Some(webhook), ..HookChange::default() })
}

fn asking(url: &str, on: &[Trigger], failure_mode: FailureMode) -> NewHook {
    let webhook = NewWebhook { failure_mode: Some(failure_mode), ..webhook(url, Timing::Before) };
    new(Timing::Before, on, HookChange { webhook: Some(webhook), ..HookChange::default() })
}

fn requiring(expression: &str, on: &[Trigger]) -> NewHook {
    let expression = Some((expression.to_owned(), "not good enough".to_owned()));
    new(Timing::Before, on, HookChange { expression, ..HookChange::default() })
}

fn value<'a>(refusal: &'a Refusal, key: &str) -> &'a str {
    refusal.metadata.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value)
}

fn said(allowed: bool, message: &str) -> Answer {
    Answer::Status(200, serde_json::json!({"allowed": allowed, "message": message}).to_string())
}

#[tokio::test]
async fn a_version_that_a_hook_does_not_want_is_not_registered_and_leaves_no_event() {
    let service = Hooked::new();
    let model = service.model("ranker").await;
    let digest =
        service.create("quality", requiring("version.metrics.accuracy >= 0.8", &[Trigger::VersionCreate])).await;
    let before = service.head();
    for metrics in [&[("accuracy", 0.7)][..], &[], &[("accuracy", f64::NAN)]] {
        let refused = service.app.create_version(&call(), &model, new_version(&[], metrics)).await.unwrap_err();
        assert_eq!(refused.reason, "REGISTRATION_REJECTED");
        assert!(refused.message.starts_with("not good enough"), "{}", refused.message);
        assert_eq!(value(&refused, "hook"), "projects/p/hooks/quality");
        assert_eq!(value(&refused, "digest"), digest);
    }
    assert_eq!(service.head(), before);
    let made = service.app.create_version(&call(), &model, new_version(&[], &[("accuracy", 0.8)])).await.unwrap();
    assert_eq!(made.value.name.number().0, 1);
}

#[tokio::test]
async fn a_hook_counts_from_the_moment_it_is_there_and_no_longer_than_it_is_in_force() {
    let service = Hooked::new();
    let model = service.model("a").await;
    let refused = async || service.app.create_version(&call(), &model, new_version(&[], &[])).await.is_err();
    assert!(!refused().await);
    service.create("never", requiring("false", &[Trigger::VersionCreate])).await;
    assert!(refused().await);
    service.app.enable_hook(&call(), &hook("never"), false).await.unwrap();
    assert!(!refused().await);
    service.app.enable_hook(&call(), &hook("never"), true).await.unwrap();
    assert!(refused().await);
    let of_other = HookChange { model: Some("other".into()), ..HookChange::default() };
    service.app.change_hook(&call(), &hook("never"), Expected::Any, of_other).await.unwrap();
    assert!(!refused().await);
    service.app.delete_hook(&call(), &hook("never"), Expected::Any).await.unwrap();
    assert!(!refused().await);
}

#[tokio::test]
async fn no_door_leads_around_a_hook_on_what_happens() {
    let service = Hooked::new();
    let model = service.model("a").await;
    let version =
        service.app.create_version(&call(), &model, new_version(&[], &[("auc", 0.1)])).await.unwrap().value.name;
    let condition = "change.to_stage != 'Production' || version.metrics.auc > 0.5";
    service.create("stage", requiring(condition, &[Trigger::StageMove])).await;
    let rejected = |refusal: Refusal| assert_eq!(refusal.reason, "REGISTRATION_REJECTED", "{}", refusal.message);
    let to = Stage::Production;
    rejected(service.app.transition(&call(), &version, Expected::Any, to, false).await.unwrap_err());
    let moves = vec![Move { version: version.number(), target: Target::Stage(to) }];
    rejected(service.app.bypass_promotion(&call(), &model, moves.clone(), "now").await.unwrap_err());
    let promotion = service.app.request_promotion(&call(), &model, moves, "please").await.unwrap().value.record.name;
    let approver = cairn_registry::model::Approver {
        principal: "users/eve".into(),
        is_person: true,
        held: vec![("roles/manager".into(), Position::START)],
    };
    rejected(service.app.approve_promotion(&by("users/eve"), &promotion, approver, "yes").await.unwrap_err());
    service.app.transition(&call(), &version, Expected::Any, Stage::Staging, false).await.unwrap();
}

#[tokio::test]
async fn what_happens_to_a_model_is_asked_about_with_what_changes() {
    let service = Hooked::new();
    let model = service.model("a").await;
    service.app.create_version(&call(), &model, new_version(&[("reviewed", "yes")], &[])).await.unwrap();
    let version = service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap().value.name;
    let first = model.version(cairn_registry::model::Number(1));
    let condition = "change.alias != 'champion' || (has(version.tags.reviewed) && version.tags.reviewed == 'yes')";
    service.create("alias", requiring(condition, &[Trigger::AliasSet])).await;
    service.create("name", requiring("model.display_name.startsWith('team-')", &[Trigger::ModelCreate])).await;
    service.create("gone", requiring("caller == 'users/root'", &[Trigger::ModelDelete, Trigger::VersionDelete])).await;
    service
        .create(
            "tag",
            requiring("!has(change.set_tags) || !('reviewed' in change.set_tags)", &[Trigger::VersionUpdate]),
        )
        .await;
    let alias = "champion".parse().unwrap();
    service.app.set_alias(&call(), &model, Expected::Any, &alias, first.number()).await.unwrap();
    service.app.set_alias(&call(), &model, Expected::Any, &alias, version.number()).await.unwrap_err();
    service.app.create_model(&call(), &project(), new_model("mine", &[])).await.unwrap_err();
    service.app.create_model(&call(), &project(), new_model("team-ours", &[])).await.unwrap();
    service.app.delete_version(&call(), &version, Expected::Any).await.unwrap_err();
    service.app.delete_model(&call(), &model, Expected::Any).await.unwrap_err();
    let set = |key: &str| [(key.to_owned(), "yes".to_owned())].into();
    let call = call();
    let tag = |key| service.app.change_version(&call, &version, Expected::Any, None, set(key), vec![]);
    tag("reviewed").await.unwrap_err();
    tag("other").await.unwrap();
    // The name that was refused is still free.
    service.app.enable_hook(&call, &hook("name"), false).await.unwrap();
    service.model("mine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_once_for_what_it_decides_and_what_it_says_counts() {
    let mut sink = Sink::start(vec![said(false, "ask the data team"), said(true, "")]).await;
    let service = Hooked::new();
    let model = service.model("a").await;
    service.create("ask", asking(&sink.url, &[Trigger::VersionCreate], FailureMode::Closed)).await;
    let refused = service.app.create_version(&call(), &model, new_version(&[("k", "v")], &[])).await.unwrap_err();
    assert_eq!(refused.reason, "REGISTRATION_REJECTED");
    assert!(refused.message.starts_with("ask the data team"), "{}", refused.message);
    let heard = sink.next().await;
    let body = heard.body();
    assert_eq!((&body["timing"], &body["type"]), (&"BEFORE".into(), &"registry.version_create".into()));
    assert_eq!(body["data"]["version"]["tags"]["k"], "v");
    assert!(heard.header("webhook-signature").starts_with("v1,"));
    service.app.create_version(&call(), &model, new_version(&[("k", "v")], &[])).await.unwrap();
    sink.next().await;
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_each_asked_about_and_all_are_registered() {
    let sink = Sink::start(vec![said(true, ""); 40]).await;
    let service = Hooked::new();
    let model = service.model("a").await;
    service.create("ask", asking(&sink.url, &[Trigger::VersionCreate], FailureMode::Closed)).await;
    let calls: Vec<_> = (0..40).map(|_| call()).collect();
    let made = join_all(calls.iter().map(|call| service.app.create_version(call, &model, new_version(&[], &[])))).await;
    let numbers: BTreeSet<u32> = made.into_iter().map(|made| made.unwrap().value.name.number().0).collect();
    assert_eq!(numbers, (1..=40).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_it_happens_or_does_not_as_was_declared() {
    let nonsense = Answer::Status(200, "yes".into());
    let failing = [Answer::Status(500, String::new()), Answer::Nothing, Answer::Silence, nonsense];
    for answer in failing {
        let sink = Sink::start(vec![answer.clone(), answer.clone()]).await;
        let service = Hooked::new();
        let model = service.model("a").await;
        let create = async |mode: FailureMode| {
            let mut new = asking(&sink.url, &[Trigger::VersionCreate], mode);
            new.change.webhook.as_mut().unwrap().deadline = Some(Duration::from_millis(50));
            service.create("ask", new).await;
            let outcome = service.app.create_version(&call(), &model, new_version(&[], &[])).await;
            service.app.delete_hook(&call(), &hook("ask"), Expected::Any).await.unwrap();
            outcome
        };
        let refused = create(FailureMode::Closed).await.unwrap_err();
        assert_eq!(refused.reason, "HOOK_UNANSWERED", "{answer:?}");
        assert!(!refused.message.contains("canary"), "{}", refused.message);
        create(FailureMode::Open).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_is_not_asked_about_again() {
    let mut sink = Sink::start(vec![said(true, "")]).await;
    let service = Hooked::new();
    let model = service.model("a").await;
    service.create("ask", asking(&sink.url, &[Trigger::VersionCreate], FailureMode::Closed)).await;
    let first = service.app.create_version(&request("r"), &model, new_version(&[], &[])).await.unwrap();
    let again = service.app.create_version(&request("r"), &model, new_version(&[], &[])).await.unwrap();
    assert_eq!(first.value, again.value);
    sink.next().await;
    assert!(sink.is_quiet());
}

#[tokio::test]
async fn what_is_no_hook_is_refused_with_the_place_of_the_mistake() {
    let service = Hooked::new();
    let reason = async |new: NewHook| service.try_create("x", new).await.unwrap_err();
    let wrong = reason(requiring("version.metrics.accuracy >", &[Trigger::VersionCreate])).await;
    assert_eq!((wrong.reason, value(&wrong, "line")), ("HOOK_EXPRESSION_INVALID", "1"));
    let url = "https://hooks.example.org/";
    let invalid = [
        requiring("true", &[]),
        new(Timing::After, &[Trigger::ModelCreate], requiring("true", &[]).change),
        new(Timing::Before, &[Trigger::ModelCreate], slack(url, &[]).change),
        new(Timing::Before, &[Trigger::ModelCreate], after(url, &[]).change),
        new(Timing::After, &[Trigger::ModelCreate], HookChange::default()),
    ];
    let message = async |mut new: NewHook| {
        new.change.triggers.get_or_insert_default();
        reason(new).await
    };
    for (at, new) in invalid.into_iter().enumerate() {
        let refused = message(new).await;
        assert_eq!(refused.reason, "VALIDATION_ERROR", "number {at}: {}", refused.message);
    }
    let mut unsigned = after(url, &[Trigger::ModelCreate]);
    unsigned.change.webhook.as_mut().unwrap().secret = None;
    assert_eq!(reason(unsigned).await.reason, "VALIDATION_ERROR");
    service.create("x", requiring("true", &[Trigger::ModelCreate])).await;
    assert_eq!(reason(requiring("true", &[Trigger::ModelCreate])).await.reason, "HOOK_EXISTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_can_be_tried_without_anything_happening() {
    let mut sink = Sink::start(vec![]).await;
    let service = Hooked::new();
    let model = service.model("a").await;
    let version =
        service.app.create_version(&call(), &model, new_version(&[], &[("auc", 0.9)])).await.unwrap().value.name;
    service.create("ok", requiring("version.metrics.auc > 0.5", &[Trigger::VersionCreate])).await;
    service.create("told", after(&sink.url, &[Trigger::VersionCreate])).await;
    let before = service.head();
    assert!(service.app.try_hook(&call(), &hook("ok"), Some(&version), None).await.unwrap().is_success);
    let failed = service.app.try_hook(&call(), &hook("ok"), None, None).await.unwrap();
    assert!(!failed.is_success && failed.error.contains("No such key: auc"), "{failed:?}");
    let told = service.app.try_hook(&call(), &hook("told"), None, None).await.unwrap();
    assert_eq!((told.is_success, told.status), (true, 200));
    assert_eq!(sink.next().await.body()["data"]["model"]["display_name"], "example");
    assert_eq!(service.head(), before);
}
