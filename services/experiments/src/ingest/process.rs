//! A processor: works on its share of the partitions, each in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_ingest_queue::{Lease, Member, Message, QueueFault};
use cairn_kernel::Position;
use cairn_service::telemetry::Traceparent;
use futures::{StreamExt, stream};
use metrics::{counter, gauge};
use tokio::time::sleep;
use tracing::{Instrument, debug_span, warn};
use uuid::Uuid;

use super::carry::{Carried, carry};
use super::{Envelope, PAUSES, Shared};
use crate::app::App;

/// How long one read waits for messages.
const READ_WAIT: Duration = Duration::from_secs(1);
/// Runs of one partition that are carried at the same time.
const RUNS_AT_ONCE: usize = 32;
/// Spans of batches that the span of their processing leads back to.
const LINKS_MAX: usize = 64;

/// The processor has no right to the partition any more.
pub(super) struct Lost;

/// Works until it is stopped.
pub(super) async fn run(shared: Arc<Shared>, app: App) {
    let settings = &shared.settings;
    let name = format!("{}-{}", std::process::id(), Uuid::new_v4().simple());
    let member = Member::new(Arc::clone(&shared.queue), settings.partitions, name, settings.lease);
    let mut held = member.held();
    let reporting = async move {
        while held.changed().await.is_ok() {
            gauge!("cairn_ingest_partitions_held").set(held.borrow_and_update().len() as f64);
        }
    };
    let work = |partition, lease| {
        let (shared, app) = (Arc::clone(&shared), app.clone());
        async move { work(&shared, &app, partition, &lease).await }
    };
    tokio::select! {
        () = member.run(shared.stop.clone(), work) => {}
        () = reporting => {}
    }
}

/// Works on a partition until it is to be given up.
async fn work(shared: &Shared, app: &App, partition: u16, lease: &Lease) {
    let mut pause = PAUSES.0;
    let mut after = None;
    while !lease.is_ending() {
        // What is begun is brought to its end.
        match step(shared, app, partition, lease, after).await {
            Ok(up_to) => (after, pause) = (up_to, PAUSES.0),
            Err(_) => {
                after = None;
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Reads what is next after a place, and carries it into the log. Where to go on; `None`: wherever the queue says.
async fn step(
    shared: &Shared,
    app: &App,
    partition: u16,
    lease: &Lease,
    after: Option<u64>,
) -> Result<Option<u64>, QueueFault> {
    let after = match after {
        Some(after) => after,
        None => shared.queue.standing(partition).await?.finished,
    };
    if !lease.holds() {
        sleep(PAUSES.0).await;
        return Ok(Some(after));
    }
    let messages = tokio::select! {
        messages = shared.queue.read(partition, after, READ_WAIT) => messages?,
        () = lease.ending() => return Ok(Some(after)),
    };
    let Some(last) = messages.last().map(|message| message.sequence) else { return Ok(Some(after)) };
    let count = messages.len() as u64;
    let Ok(position) = group(shared, app, lease, messages).await else { return Ok(None) };
    let mut pause = PAUSES.0;
    while let Err(fault) = shared.queue.finish(partition, last).await {
        // Whoever has the partition next finds them in the log.
        if lease.is_ending() || !lease.holds() {
            return Err(fault);
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
    counter!("cairn_ingest_processed_total").increment(count);
    shared.carried[usize::from(partition)]
        .send_modify(|(up_to, at)| (*up_to, *at) = (last.max(*up_to), position.max(*at)));
    Ok(Some(last))
}

/// Carries messages into the log: those of one run one after the other, those of several side by side, so that the log writes
/// them together. The position that shows all of them.
async fn group(shared: &Shared, app: &App, lease: &Lease, messages: Vec<Message>) -> Result<Position, Lost> {
    // Not part of any of the calls that brought them: it may be long after, and is about all of them.
    let span = debug_span!(parent: None, "ingest process", count = messages.len());
    let mut runs: BTreeMap<String, Vec<(Envelope, Bytes)>> = BTreeMap::new();
    let mut links = 0;
    for message in messages {
        match Envelope::decode(&message.body) {
            Ok(envelope) => {
                let traceparent = envelope.traceparent.as_ref().and_then(|text| text.parse::<Traceparent>().ok());
                if let Some(queued) = traceparent.filter(|_| links < LINKS_MAX) {
                    links += 1;
                    queued.link(&span);
                }
                runs.entry(envelope.run.to_string()).or_default().push((envelope, message.body));
            }
            Err(why) => bury(shared, lease, "unreadable", &why, None, message.body).await?,
        }
    }
    let carrying = stream::iter(runs.into_values().map(|batches| one_run(shared, app, lease, batches)));
    let carried: Vec<_> = carrying.buffer_unordered(RUNS_AT_ONCE).collect::<Vec<_>>().instrument(span).await;
    carried.into_iter().try_fold(Position::START, |known, position| Ok(known.max(position?)))
}

async fn one_run(shared: &Shared, app: &App, lease: &Lease, batches: Vec<(Envelope, Bytes)>) -> Result<Position, Lost> {
    let (mut position, mut revision) = (Position::START, None);
    for (envelope, body) in batches {
        match carry(app, lease, &envelope, &mut revision).await? {
            Carried::Logged(at) => position = position.max(at),
            Carried::Never { reason, why } => bury(shared, lease, reason, &why, Some(&envelope), body).await?,
        }
    }
    Ok(position)
}

/// Puts away what can never be logged, so that nothing waits for it.
async fn bury(
    shared: &Shared,
    lease: &Lease,
    reason: &'static str,
    why: &str,
    envelope: Option<&Envelope>,
    body: Bytes,
) -> Result<(), Lost> {
    let run = envelope.map(|envelope| envelope.run.to_string()).unwrap_or_default();
    let batch = envelope.and_then(|envelope| envelope.id.as_ref()).map(|id| id.id.clone()).unwrap_or_default();
    let mut pause = PAUSES.0;
    while shared.queue.bury(body.clone(), &format!("{reason}: {why}")).await.is_err() {
        if lease.is_ending() || !lease.holds() {
            return Err(Lost);
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
    warn!(run, batch, reason, why, "a batch that was acknowledged cannot be logged, and is put away");
    counter!("cairn_ingest_dead_total", "reason" => reason).increment(1);
    Ok(())
}
