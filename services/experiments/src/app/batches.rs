use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_eventstore::{CommandFault, Order, RequestKey};
use cairn_kernel::{Code, Expected};
use cairn_service::Refusal;
use uuid::Uuid;

use super::{App, Call, Made};
use crate::model::entry::tag::RESERVED_PREFIX;
use crate::model::run::{Action, Command, TagChange};
use crate::model::{Batch, BatchId, EntryKind, Points, Run, RunName};
use crate::query::BatchRecord;

/// Namespace of the ids derived from runs and their batch ids.
const BATCHES: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_6261_7463_6865);

/// What to log.
#[derive(Clone, Debug, Default)]
pub struct NewBatch {
    /// Given when its sender wants to be able to repeat it; the digest is that of the request as sent.
    pub id: Option<BatchId>,
    pub metrics: Points,
    pub params: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub struct Logged {
    pub batch: BatchRecord,
    /// Whether this very batch had been logged before: then this is the first answer.
    pub is_replayed: bool,
    /// Whether it is kept by a queue and not in the log yet.
    pub is_queued: bool,
}

impl App {
    /// Logs metrics, params and tags, all or nothing, but for what there is no room for.
    pub async fn log_batch(&self, call: &Call, name: &RunName, new: NewBatch) -> Result<Made<Logged>, Refusal> {
        if let Some(ingest) = self.ingest.as_ref().filter(|_| !new.metrics.is_empty()) {
            // Params and tags have rules that need an answer.
            if new.params.is_empty()
                && new.tags.is_empty()
                && let Some(queued) = self.enqueue(ingest, call, name, &new).await?
            {
                return Ok(queued);
            }
            self.after_queued(call, name).await?;
        }
        self.active_experiment(call, &name.parent()).await?;
        let tags = self.tag_change(name, new.tags, vec![]).await?;
        let limits = self.inner.config.limits();
        let batch =
            Batch { id: new.id, metrics: Arc::new(new.metrics), params: new.params, tags, limits, was_accepted: false };
        let batch = Arc::new(batch);
        let order = match &batch.id {
            Some(id) => Order { request: Some(key(name, id)), ..call.on(name.name()) },
            None => call.on(name.name()),
        };
        let command = Command { run: name.clone(), action: Action::Log(Arc::clone(&batch)) };
        let done = self.inner.commands.execute::<Run>(&order, &name.stream(), Expected::Any, command).await;
        let done = done.map_err(|fault| conflict(fault, name, batch.id.as_ref()))?;
        self.reached(done.position, call.deadline).await?;
        let logged = match &batch.id {
            Some(id) => {
                let found = self.inner.query.batch(name, &id.id).await?;
                found.ok_or_else(|| Refusal::internal(format!("batch {} of {name} is not in its view", id.id)))?
            }
            None => outcome(&done.state, &batch),
        };
        let is_replayed = done.is_repeat;
        Ok(Made { value: Logged { batch: logged, is_replayed, is_queued: false }, position: done.position })
    }

    /// Tags to set and to delete, with those marked for which the project has no room. What the run has no room for
    /// anyway is not asked for: one run gone wild must not take up the room of all others.
    pub(super) async fn tag_change(
        &self,
        name: &RunName,
        set: BTreeMap<String, String>,
        delete: Vec<String>,
    ) -> Result<TagChange, Refusal> {
        let limits = self.inner.config.limits();
        let known = self.inner.commands.load::<Run>(&name.stream()).await?.state;
        let is_plain = |key: &str| !key.starts_with(RESERVED_PREFIX);
        let kept = known.tags.keys().filter(|key| is_plain(key) && (set.contains_key(*key) || !delete.contains(key)));
        let room = limits.tag_keys_per_run_max.saturating_sub(kept.count());
        let new: Vec<&String> = set.keys().filter(|key| is_plain(key) && !known.tags.contains_key(*key)).collect();
        let (asked, rest) = new.split_at(room.min(new.len()));
        let beyond = self.inner.project_tags.admit(&name.parent().parent(), asked).await;
        let mut beyond_project = beyond.map_err(Refusal::internal)?;
        // What is refused leaves room in the run, which those that were not asked for must not slip into.
        if !beyond_project.is_empty() {
            beyond_project.extend(rest.iter().map(|key| (*key).clone()));
        }
        Ok(TagChange { set, delete, beyond_project, limits })
    }
}

/// What became of a batch without an id: what the run does not have after it was dropped.
fn outcome(run: &Run, batch: &Batch) -> BatchRecord {
    let dropped = run.missing(batch);
    let lost = |kind| dropped.iter().filter(|entry| entry.kind == kind).map(|entry| entry.count as u32).sum::<u32>();
    BatchRecord {
        batch_id: String::new(),
        sha256: String::new(),
        metric_count: batch.metrics.points.len() as u32 - lost(EntryKind::Metric),
        param_count: batch.params.len() as u32 - lost(EntryKind::Param),
        tag_count: batch.tags.set.len() as u32 - lost(EntryKind::Tag),
        dropped,
    }
}

pub(super) fn key(run: &RunName, id: &BatchId) -> RequestKey {
    let text = format!("{run}\n{}", id.id);
    RequestKey { id: Uuid::new_v5(&BATCHES, text.as_bytes()), hash: id.sha256.clone() }
}

/// A batch id used twice is a conflict that shows both contents; everything else is what it is.
pub(super) fn conflict(
    fault: CommandFault<crate::model::run::Rejection>,
    run: &RunName,
    id: Option<&BatchId>,
) -> Refusal {
    match (fault, id) {
        (CommandFault::RequestReused { hash, earlier_hash }, Some(id)) => {
            let message = format!(
                "batch {:?} of {run} was logged with another content: sha256 {earlier_hash}, now {hash}",
                id.id
            );
            let mut refusal = Refusal::new(Code::AlreadyExists, "BATCH_CONFLICT", message)
                .with("run", run)
                .with("batch_id", &id.id)
                .with("logged_sha256", earlier_hash)
                .with("given_sha256", hash);
            refusal.domain = "experiments.cairn";
            refusal
        }
        (fault, _) => fault.into(),
    }
}
