//! What is told after something has happened: once, in order, again until it is taken, and never to where it must not go.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_eventstore::Memory;
use cairn_kernel::Expected;
use cairn_registry::app::{HookChange, NewHook};
use cairn_registry::hooks;
use cairn_registry::model::hook::{Timing, Trigger};
use serde_json::json;
use tempfile::TempDir;

use crate::hooks::{Hooked, after, hook, slack, webhook};
use crate::sink::{Answer, Sink};
use crate::support::{call, new_version};

fn triggers(triggers: &[Trigger]) -> Option<BTreeSet<Trigger>> {
    Some(triggers.iter().copied().collect())
}

fn refusing(status: u16, times: usize) -> Vec<Answer> {
    vec![Answer::Status(status, String::new()); times]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_happened_is_told_once_signed_and_again_with_the_same_id_until_it_is_taken_s3_25() {
    let mut sink = Sink::start(refusing(503, 2)).await;
    let service = Hooked::new();
    service.create("tell", after(&sink.url, &[Trigger::VersionCreate])).await;
    let model = service.model("ranker").await;
    let made = service.app.create_version(&call(), &model, new_version(&[("a", "1")], &[("auc", 0.5)])).await.unwrap();

    let tries = [sink.next().await, sink.next().await, sink.next().await];
    let ids: BTreeSet<&str> = tries.iter().map(|heard| heard.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1);
    assert!(tries.iter().all(|heard| heard.bytes == tries[0].bytes));
    for heard in &tries {
        let (id, time) = (heard.header("webhook-id"), heard.header("webhook-timestamp"));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"0123456789abcdef");
        let signed = [format!("{id}.{time}.").as_bytes(), &heard.bytes].concat();
        use base64::Engine;
        let expected = base64::engine::general_purpose::STANDARD.encode(aws_lc_rs::hmac::sign(&key, &signed));
        assert_eq!(heard.header("webhook-signature"), format!("v1,{expected}"));
    }
    let body = tries[0].body();
    assert_eq!(body["type"], "registry.version_create");
    assert_eq!(body["data"]["version"]["name"], made.value.name.to_string());
    assert_eq!(body["data"]["version"]["metrics"], json!({"auc": 0.5}));
    assert_eq!(body["data"]["caller"], "users/ada");

    // The next thing to come is the next thing that happened.
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    assert_eq!(sink.next().await.body()["data"]["version"]["number"], 2);
    assert_eq!(service.delivered("tell", 2).await, [1, 3]);
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_model_everything_is_told_in_order_and_another_model_does_not_wait() {
    let mut sink = Sink::start(refusing(500, 1)).await;
    let service = Hooked::with(|config| config.backoff_ms = 3_600_000);
    service.create("tell", after(&sink.url, &[Trigger::VersionCreate])).await;
    let (stuck, other) = (service.model("stuck").await, service.model("other").await);
    service.app.create_version(&call(), &stuck, new_version(&[], &[])).await.unwrap();
    assert_eq!(sink.next().await.body()["data"]["model"]["display_name"], "stuck");
    service.app.create_version(&call(), &stuck, new_version(&[], &[])).await.unwrap();
    for _ in 0..3 {
        service.app.create_version(&call(), &other, new_version(&[], &[])).await.unwrap();
    }
    for number in 1..=3 {
        let body = sink.next().await.body();
        assert_eq!(
            (&body["data"]["model"]["display_name"], &body["data"]["version"]["number"]),
            (&json!("other"), &json!(number))
        );
    }
    service.delivered("tell", 3).await;
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_becomes_a_dead_letter_lets_the_next_go_on_and_can_be_delivered_after_all() {
    let mut sink = Sink::start(refusing(500, 3)).await;
    let service = Hooked::with(|config| config.attempts_max = 3);
    service.create("tell", after(&sink.url, &[Trigger::VersionCreate])).await;
    let model = service.model("a").await;
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    let first = sink.next().await;
    for _ in 0..2 {
        assert_eq!(sink.next().await.header("webhook-id"), first.header("webhook-id"));
    }
    assert_eq!(sink.next().await.body()["data"]["version"]["number"], 2);

    let dead = service.dead("tell").await;
    assert_eq!((dead.attempts, dead.response_status, dead.id.as_str()), (3, 500, first.header("webhook-id")));
    service.retry(&dead).await.unwrap();
    let again = sink.next().await;
    assert_eq!((again.header("webhook-id"), &again.bytes), (first.header("webhook-id"), &first.bytes));
    service.delivered("tell", 2).await;
    let refused = service.retry(&dead).await.unwrap_err();
    assert_eq!(refused.reason, "DELIVERY_NOT_DEAD");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_forgets_what_was_to_be_told_nor_tells_again_what_was() {
    let mut sink = Sink::start(vec![]).await;
    let (store, folder) = (Memory::new(), Arc::new(TempDir::new().unwrap()));
    let service = Hooked::over(store.clone(), Arc::clone(&folder), |_| {});
    service.create("tell", after(&sink.url, &[Trigger::VersionCreate])).await;
    let model = service.model("a").await;
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    assert_eq!(sink.next().await.body()["data"]["version"]["number"], 1);
    service.delivered("tell", 1).await;
    // This one is never answered: the process ends while it waits.
    sink.answer(Answer::Silence).await;
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    let cut = sink.next().await;
    drop(service);

    let service = Hooked::over(store, folder, |_| {});
    let again = sink.next().await;
    assert_eq!((again.header("webhook-id"), &again.bytes), (cut.header("webhook-id"), &cut.bytes));
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    assert_eq!(sink.next().await.body()["data"]["version"]["number"], 3);
    service.delivered("tell", 3).await;
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_is_lost_tells_nothing_that_has_happened_before_and_everything_after() {
    let mut sink = Sink::start(vec![]).await;
    let store = Memory::new();
    let folder = Arc::new(TempDir::new().unwrap());
    let service = Hooked::over(store.clone(), Arc::clone(&folder), |_| {});
    service.create("tell", after(&sink.url, &[Trigger::VersionCreate])).await;
    let model = service.model("a").await;
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    sink.next().await;
    service.delivered("tell", 1).await;
    drop(service);
    for file in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path().join(format!("registry-deliveries.sqlite{file}")));
    }
    let service = Hooked::over(store, folder, |_| {});
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    assert_eq!(sink.next().await.body()["data"]["version"]["number"], 2);
    service.delivered("tell", 1).await;
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_happens_while_a_hook_is_in_force_is_told() {
    let mut sink = Sink::start(vec![]).await;
    let service = Hooked::new();
    let model = service.model("before-it").await;
    service.create("tell", after(&sink.url, &[Trigger::VersionCreate])).await;
    let name = hook("tell");
    service.app.enable_hook(&call(), &name, false).await.unwrap();
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    service.app.enable_hook(&call(), &name, true).await.unwrap();
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    assert_eq!(sink.next().await.body()["data"]["version"]["number"], 2);
    service.delivered("tell", 1).await;
    service.app.delete_hook(&call(), &name, Expected::Any).await.unwrap();
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    service.create("tell", after(&sink.url, &[Trigger::VersionDelete])).await;
    service.app.delete_version(&call(), &model.version(cairn_registry::model::Number(1)), Expected::Any).await.unwrap();
    assert_eq!(sink.next().await.body()["type"], "registry.version_delete");
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_counts_as_not_taken() {
    let mut elsewhere = Sink::start(vec![]).await;
    let mut sink = Sink::start(vec![Answer::To(elsewhere.url.clone()), Answer::Nothing]).await;
    let service = Hooked::with(|config| config.attempts_max = 2);
    service.create("tell", after(&sink.url, &[Trigger::ModelCreate])).await;
    service.model("a").await;
    sink.next().await;
    sink.next().await;
    let dead = service.dead("tell").await;
    assert_eq!(dead.response_status, 0);
    assert!(dead.error.contains("cannot be reached"), "{dead:?}");
    assert!(!dead.error.contains("canary"), "{dead:?}");
    assert!(elsewhere.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hook_reaches_a_private_address_unless_that_is_allowed() {
    let mut sink = Sink::start(vec![]).await;
    let port = sink.url.split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    let service = Hooked::with(|config| {
        config.allowed_private.clear();
        config.attempts_max = 1;
    });
    for address in
        ["http://127.0.0.1:9/", "http://2130706433/", "http://[::1]/", "http://169.254.169.254/latest", "ftp://a/"]
    {
        let refused = service.try_create("tell", after(address, &[Trigger::ModelCreate])).await.unwrap_err();
        assert_eq!(refused.reason, "HOOK_ADDRESS_REFUSED", "{address}");
    }
    // A name is judged when it resolves, each time.
    service.create("tell", after(&format!("http://localhost:{port}/"), &[Trigger::ModelCreate])).await;
    service.model("a").await;
    let dead = service.dead("tell").await;
    assert!(dead.error.contains("private"), "{dead:?}");
    let tried = service.app.try_hook(&call(), &hook("tell"), None, None).await.unwrap();
    assert!(!tried.is_success && tried.error.contains("private"), "{tried:?}");
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_slack_is_told_in_slacks_shape_once_s3_64() {
    let mut sink = Sink::start(vec![]).await;
    let service = Hooked::new();
    service.create("channel", slack(&sink.url, &[Trigger::VersionCreate])).await;
    let model = service.model("<!channel> ranker").await;
    service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    let heard = sink.next().await;
    let body = heard.body();
    let text = "users/ada registered version 1 of *&lt;!channel&gt; ranker*";
    assert_eq!(body["text"], text);
    assert_eq!(body["blocks"][0], json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}));
    assert_eq!(body["blocks"][1]["type"], "context");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    assert_eq!(heard.header("webhook-signature"), "");
    service.delivered("channel", 1).await;
    assert!(sink.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_address_nor_secret_can_be_read_anywhere_and_both_are_forgotten_with_their_hook() {
    let sink = Sink::start(vec![]).await;
    let service = Hooked::new();
    let holds = |needle: &str| service.files_hold(needle);
    service.create("tell", after(&sink.url, &[Trigger::ModelCreate])).await;
    assert!(!service.log_holds("canary-path").await && !service.log_holds("0123456789abcdef").await);
    let (told, refused) = (hook("tell").to_string(), hook("wrong").to_string());
    let is_clear = || ["canary-path", "0123456789abcdef", "another secret of it"].into_iter().any(holds);
    assert!(holds(&told) && !is_clear(), "sealed, under the hook's name");
    let mut change = webhook(&sink.url, Timing::After);
    change.secret = Some("another secret of it".into());
    change.url = None;
    let change = HookChange { webhook: Some(change), ..HookChange::default() };
    service.app.change_hook(&call(), &hook("tell"), Expected::Any, change).await.unwrap();
    assert!(holds(&told) && !is_clear());
    service.app.delete_hook(&call(), &hook("tell"), Expected::Any).await.unwrap();
    assert!(!holds(&told) && !is_clear());
    // A hook that was refused leaves nothing either.
    let mut wrong: NewHook = after(&sink.url, &[]);
    wrong.change.triggers = triggers(&[]);
    service.try_create("wrong", wrong).await.unwrap_err();
    assert!(!holds(&refused) && !is_clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_with_more_waiting_than_it_may_have_gets_dead_letters() {
    let sink = Sink::start(refusing(500, 1)).await;
    let service = Hooked::with(|config: &mut hooks::Config| {
        (config.pending_per_hook_max, config.backoff_ms, config.backoff_ms_max) = (1, 3_600_000, 3_600_000);
    });
    service.create("tell", after(&sink.url, &[Trigger::VersionCreate])).await;
    let model = service.model("a").await;
    for _ in 0..3 {
        service.app.create_version(&call(), &model, new_version(&[], &[])).await.unwrap();
    }
    assert_eq!(service.dead("tell").await.error, "1 deliveries of this hook wait already");
}
