//! What the contract says that each operation writes, held against what the log has after each was called.
//!
//! The other half, that no operation writes anything else, is held by [`cairn_service::Checked`] in every suite that a
//! test starts. Here each operation must write all that its line names.

mod caller;
mod configuration;
mod login;
mod mlflow;
mod native;
mod provider;
mod scim;
mod vault;

use std::collections::{BTreeMap, BTreeSet};

use cairn_contract::cairn::options::v1::{Process, Unwritten};
use cairn_contract::{Contract, Method};
use cairn_eventstore::{Direction, Filter};
use cairn_kernel::Position;

use self::caller::Caller;
use crate::suite::Suite;

/// So little room in a run that what is logged finds none; and a provider on this machine.
const ROOM: [(&str, &str); 5] = [
    // Where the stand-in for an identity provider is.
    ("CAIRN__LOGIN__ALLOWED_PRIVATE", "127.0.0.1"),
    ("MLRUN_MAX_TAG_KEYS_PER_RUN", "3"),
    ("MLRUN_MAX_METRIC_NAMES_PER_RUN", "3"),
    ("CAIRN__EXPERIMENTS__PARAMS_PER_RUN_MAX", "3"),
    // And an emergency that nobody has to wait for.
    ("CAIRN__AUTH__BREAK_GLASS_DELAY_MS", "0"),
];

/// Write nothing, and answer only where there is somebody outside: who takes a hook's request, or an object store with
/// addresses of its own. The suites that have one call them, under the same check of what is written.
const NEED_SOMEBODY: [&str; 4] = [
    "/cairn.mlflow.v1.MlflowArtifactService/CreatePresignedDownloadUrl",
    "/cairn.mlflow.v1.MlflowWebhookService/TestWebhook",
    "/cairn.registry.v1.HookService/RetryHookDelivery",
    "/cairn.registry.v1.HookService/TestHook",
];

/// The kinds of events that the log has from each operation, without what Cairn wrote by itself meanwhile.
async fn written(suite: &Suite, contract: &'static Contract) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut written = BTreeMap::<&str, BTreeSet<String>>::new();
    let mut from = Position::START;
    loop {
        let page = suite.store().read_all(from, Direction::Forwards, &Filter::all(), 1000).await.unwrap();
        for event in &page.events {
            let metadata = event.metadata();
            let Some(method) = contract.method(&format!("/{}", metadata.request_id)) else { continue };
            let is_record = contract.event(&event.kind).is_some_and(|kind| kind.by.contains(&Process::Guard));
            if !metadata.principal.starts_with("services/") && !is_record {
                written.entry(&method.path).or_default().insert(event.kind.to_string());
            }
        }
        if page.is_end {
            return written;
        }
        from = page.considered;
    }
}

/// What is wrong with the line of one operation.
fn complaint(method: &Method, called: &BTreeSet<String>, written: Option<&BTreeSet<String>>) -> Option<String> {
    let is_left_out = method.unwritten == Unwritten::Refused || NEED_SOMEBODY.contains(&&*method.path);
    if is_left_out && method.events.is_empty() {
        return None;
    }
    if !called.contains(&method.path) {
        return Some(format!("{} was not called", method.path));
    }
    let nothing = BTreeSet::new();
    let (written, named) = (written.unwrap_or(&nothing), method.events.iter().cloned().collect::<BTreeSet<_>>());
    let (never, unnamed): (Vec<_>, Vec<_>) =
        (named.difference(written).collect(), written.difference(&named).collect());
    let is_true = never.is_empty() && unnamed.is_empty();
    (!is_true).then(|| format!("{} never wrote {never:?}, and wrote without a word {unnamed:?}", method.path))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_writes_the_events_that_its_line_names_and_no_other_s3_57() {
    let contract = Contract::embedded().unwrap();
    let suite = Suite::start_with(&ROOM).await;
    let caller = Caller::new(&suite, contract);
    native::identities(&caller).await;
    login::all(&caller).await;
    native::organizations(&caller).await;
    scim::all(&caller).await;
    native::experiments(&caller).await;
    native::registry(&caller).await;
    native::ledger(&caller).await;
    configuration::configuration(&caller).await;
    vault::all(&caller).await;
    mlflow::experiments(&caller).await;
    mlflow::registry(&caller).await;
    let called = caller.called();
    let written = written(&suite, contract).await;
    suite.stop().await;
    let changes = contract.methods().iter().filter(|method| !method.is_read);
    let complaints: Vec<_> =
        changes.filter_map(|method| complaint(method, &called, written.get(&*method.path))).collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
