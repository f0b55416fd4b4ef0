use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use cairn_contract::Contract;
use cairn_eventstore::{CommandFault, Done, Order, RequestKey};
use cairn_ingest_queue::QueueFault;
use cairn_kernel::{Code, Expected, Revision};
use cairn_service::telemetry::Traceparent;
use cairn_service::{Refusal, Writer};
use metrics::{counter, histogram};
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, debug_span};
use uuid::Uuid;

use super::batches::{Logged, NewBatch, conflict, key};
use super::{App, Call, Made};
use crate::ingest::{Envelope, Ingest, PAUSES, Seen};
use crate::model::run::{Action, Command, Rejection, TagChange};
use crate::model::{Batch, Run, RunName};
use crate::query::BatchRecord;

/// Namespace of what batches without an id are recognised by.
const CONTENTS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_636f_6e74_656e);
/// How long the log may take to say whether a run is in use, where it was before.
const VERIFY_MAX: Duration = Duration::from_millis(500);
/// When a batch may be sent again that a full queue has refused.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The method that batches come in by, where nothing else is known.
const METHOD: &str = "/cairn.experiments.v1.RunService/LogBatch";

impl App {
    /// The same with batches of points by way of a queue.
    pub(crate) fn queued(self, ingest: Ingest) -> Self {
        Self { ingest: Some(ingest), ..self }
    }

    /// Acknowledges a batch of points once the queue keeps it. `None`: it is one that is not queued.
    pub(super) async fn enqueue(
        &self,
        ingest: &Ingest,
        call: &Call,
        name: &RunName,
        new: &NewBatch,
    ) -> Result<Option<Made<Logged>>, Refusal> {
        self.is_in_use(ingest, call, name).await?;
        let position = self.inner.view.position();
        if let Some(id) = &new.id
            && let Some(known) = self.inner.query.batch(name, &id.id).await?
        {
            if known.sha256 != id.sha256 {
                let (hash, earlier_hash) = (id.sha256.clone(), known.sha256);
                return Err(conflict(CommandFault::RequestReused { hash, earlier_hash }, name, new.id.as_ref()));
            }
            return Ok(Some(Made { value: Logged { batch: known, is_replayed: true, is_queued: false }, position }));
        }
        let shared = &ingest.shared;
        let partition = shared.partition(name);
        let span = debug_span!("ingest enqueue", partition);
        let points = Arc::new(new.metrics.clone());
        let packed = crate::ingest::pack(name, &points);
        let request = new.id.as_ref().map(|id| key(name, id)).or_else(|| call.order.request.clone());
        // Somebody who is not answered sends the same again, and a point that is there twice is there once anyway.
        let request = request.unwrap_or_else(|| {
            let hash = hex::encode(digest::digest(&digest::SHA256, &packed));
            RequestKey { id: Uuid::new_v5(&CONTENTS, hash.as_bytes()), hash }
        });
        // The same id with another content is another message: whoever processes it says that it is a conflict.
        let message = Uuid::new_v5(&request.id, request.hash.as_bytes());
        let method = match Writer::current() {
            Some(Writer::Operation(method)) => method.path.clone(),
            _ => METHOD.to_owned(),
        };
        let envelope = Envelope {
            run: name.clone(),
            id: new.id.clone(),
            order: Order { request: Some(request), ..call.on(name.name()) },
            method,
            points,
            traceparent: Traceparent::of(&span).map(|traceparent| traceparent.to_string()),
            enqueued: self.inner.clock.now(),
        };
        let body = envelope.encode(packed);
        if body.len() > shared.settings.message_bytes_max {
            return Ok(None);
        }
        offer(ingest, call, partition, message, body).instrument(span).await?;
        let batch = BatchRecord {
            batch_id: new.id.as_ref().map(|id| id.id.clone()).unwrap_or_default(),
            sha256: new.id.as_ref().map(|id| id.sha256.clone()).unwrap_or_default(),
            metric_count: new.metrics.points.len() as u32,
            param_count: 0,
            tag_count: 0,
            dropped: vec![],
        };
        Ok(Some(Made { value: Logged { batch, is_replayed: false, is_queued: true }, position }))
    }

    /// Makes sure that a run is in use, as far as this process knows. What was a moment ago is asked again beside the call, so
    /// that a log that does not answer holds nobody up.
    async fn is_in_use(&self, ingest: &Ingest, call: &Call, name: &RunName) -> Result<(), Refusal> {
        let stream = name.stream();
        let seen = ingest.verified.ask(&stream);
        match seen {
            Seen::Fresh => return Ok(()),
            Seen::Good => {
                let (app, call, name, verified) =
                    (self.clone(), call.clone(), name.clone(), Arc::clone(&ingest.verified));
                tokio::spawn(async move {
                    // Nobody waits for it, so that it must not wait for ever.
                    if let Ok(Err(refusal)) = timeout(VERIFY_MAX, app.verify(&call, &name)).await
                        && is_final(&refusal)
                    {
                        verified.forget(&name.stream());
                    }
                });
                return Ok(());
            }
            Seen::Old | Seen::Unknown => {}
        }
        let found = match seen {
            Seen::Old => timeout(VERIFY_MAX, self.verify(call, name)).await,
            _ => Ok(self.verify(call, name).await),
        };
        match found {
            Ok(Err(refusal)) if seen == Seen::Unknown || is_final(&refusal) => {
                ingest.verified.forget(&stream);
                return Err(refusal);
            }
            _ => ingest.verified.found(stream),
        }
        Ok(())
    }

    async fn verify(&self, call: &Call, name: &RunName) -> Result<(), Refusal> {
        self.active_experiment(call, &name.parent()).await?;
        let run = self.run_state(name).await?;
        run.active().map(drop).map_err(|rejection| Refusal::of(&rejection).with("run", name))
    }

    /// Holds a change back that must not overtake what was queued for its run.
    pub(super) async fn after_queued(&self, call: &Call, name: &RunName) -> Result<(), Refusal> {
        let Some(ingest) = &self.ingest else { return Ok(()) };
        let partition = ingest.shared.partition(name);
        match ingest.before_change(partition, &self.inner.view, call.deadline).await {
            true => Ok(()),
            false => Err(Refusal::new(
                Code::Unavailable,
                "INGEST_BEHIND",
                "what was logged for this run before is still queued, and this must not overtake it",
            )
            .after(RETRY_AFTER)),
        }
    }

    /// Lets what was queued for a run be read, for a while.
    pub async fn settle_run(&self, call: &Call, name: &RunName) {
        if let Some(ingest) = self.ingest.as_ref().filter(|_| call.as_of.is_none()) {
            let partition = ingest.shared.partition(name);
            ingest.before_read(&[partition], &self.inner.view, call.deadline).await;
        }
    }

    /// Lets what was queued for any run be read, for a while.
    pub async fn settle_runs(&self, call: &Call) {
        if let Some(ingest) = self.ingest.as_ref().filter(|_| call.as_of.is_none()) {
            ingest.before_read(&ingest.partitions(), &self.inner.view, call.deadline).await;
        }
    }

    /// The last event of a run, if it has one.
    pub(crate) async fn run_revision(&self, name: &RunName) -> Result<Option<Revision>, CommandFault<Rejection>> {
        Ok(self.inner.commands.load::<Run>(&name.stream()).await?.revision)
    }

    /// Logs what was queued, for whoever queued it.
    pub(crate) async fn log_queued(
        &self,
        envelope: &Envelope,
        expected: Expected,
    ) -> Result<Done<Run>, CommandFault<Rejection>> {
        let limits = self.inner.config.limits();
        let batch = Batch {
            id: envelope.id.clone(),
            metrics: Arc::clone(&envelope.points),
            params: BTreeMap::new(),
            tags: TagChange { limits, ..TagChange::default() },
            limits,
            was_accepted: true,
        };
        let command = Command { run: envelope.run.clone(), action: Action::Log(Arc::new(batch)) };
        let stream = envelope.run.stream();
        let executing = self.inner.commands.execute::<Run>(&envelope.order, &stream, expected, command);
        let method = |path: &str| Contract::embedded().ok().and_then(|contract| contract.method(path));
        match method(&envelope.method).or_else(|| method(METHOD)) {
            Some(method) => Writer::Operation(method).run(executing).await,
            None => executing.await,
        }
    }
}

/// Whether it is so because of what the run is, and not because nobody can say now.
fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::NotFound | Code::FailedPrecondition)
}

/// Puts a message into the queue, again for as long as that does not answer and the caller waits.
async fn offer(ingest: &Ingest, call: &Call, partition: u16, id: Uuid, body: bytes::Bytes) -> Result<(), Refusal> {
    let (shared, began) = (&ingest.shared, Instant::now());
    let until = call.deadline.min(began + shared.settings.enqueue_max);
    let mut pause = PAUSES.0;
    let fault = loop {
        match shared.queue.enqueue(partition, id, body.clone()).await {
            Ok(_) => {
                counter!("cairn_ingest_enqueued_total").increment(1);
                histogram!("cairn_ingest_enqueue_seconds").record(began.elapsed().as_secs_f64());
                return Ok(());
            }
            Err(fault @ QueueFault::Away(_)) if Instant::now() + pause < until => {
                tracing::debug!(%fault, "the queue is asked again");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(fault) => break fault,
        }
    };
    let refused = match &fault {
        QueueFault::Full(_) => "full",
        _ => "away",
    };
    counter!("cairn_ingest_refused_total", "reason" => refused).increment(1);
    let mut refusal = match &fault {
        QueueFault::Full(_) => Refusal::new(
            Code::ResourceExhausted,
            "INGEST_QUEUE_FULL",
            "as much is queued as may be: what was logged comes in faster than it can be stored",
        ),
        _ => Refusal::new(
            Code::Unavailable,
            "INGEST_QUEUE_UNAVAILABLE",
            "the queue that keeps what is logged does not answer, so that this batch is not known to be kept; it may be sent \
             again as it is",
        ),
    };
    // What the queue said may name hosts: it is for those who operate this.
    refusal.cause = Some(fault.to_string().into());
    Err(refusal.after(RETRY_AFTER))
}
