use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_contract::cairn::experiments::events::v1 as events;
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{Filter, Message, NewEvent, Recorded, Stored, Subscription, Write};
use cairn_kernel::{Aggregate, Expected, Metadata, StreamName};
use cairn_service::{Refusal, Writer};
use prost::{Message as _, Name as _};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{Inner, Log, RunLogs};
use crate::model::run::Change;
use crate::model::{Run, RunName};

/// Streams that tell of closed logs.
const CATEGORY: &str = "experiments.run_log";
/// Namespace of the ids of their events: closing a log again is no second event.
const CLOSED: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_6c6f_6773_0000);
/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is looked for logs of runs that were deleted long ago.
const SWEEP_PERIOD: Duration = Duration::from_secs(12 * 3600);

impl RunLogs {
    /// Ends the log of a run that has ended, if it has one, and puts its digest on record. Repeating it changes nothing.
    pub(super) async fn close(&self, run: &RunName) -> Result<(), Refusal> {
        let Some(log) = self.inner.book.close(run.to_string()).await? else { return Ok(()) };
        let write = record(run, &log);
        let process = Writer::Process(Process::RunLogEnd);
        process.run(async { self.inner.store.append(vec![write]).await }).await?;
        self.inner.changed.send_replace(());
        Ok(())
    }

    /// What an event of a run means for its log.
    async fn hear(&self, recorded: &Recorded) -> Result<(), Refusal> {
        let event = match Run::decode(&recorded.kind, &recorded.payload) {
            Ok(event) => event,
            Err(fault) => {
                // It will not read the next time either, and must not keep the ends of all others from being heard. The
                // view of runs sets it aside and raises the alarm.
                error!(position = %recorded.position, %fault, "an event of a run does not read: its log stays as it is");
                return Ok(());
            }
        };
        let (run, book) = (&event.run, &self.inner.book);
        match &event.change {
            Change::Finished { .. } => self.close(run).await?,
            Change::Resumed { state, .. } if state.is_terminal() => self.close(run).await?,
            Change::Resumed { .. } => book.reopen(run.to_string()).await?,
            Change::Deleted => book.mark(run.to_string(), Some(recorded.time)).await?,
            Change::Restored => book.mark(run.to_string(), None).await?,
            _ => {}
        }
        Ok(())
    }

    /// Closes the logs of runs whose end was heard before the log began.
    async fn close_overdue(&self) -> Result<(), Refusal> {
        for run in self.inner.book.open_runs().await? {
            let run: RunName = run.parse()?;
            match self.inner.app.run_state(&run).await {
                Ok(found) if found.state.is_terminal() => self.close(&run).await?,
                Ok(_) => {}
                // The log of events was restored from before the run began; its lines harm nobody.
                Err(fault) if fault.reason == "RUN_NOT_FOUND" => {
                    warn!(%run, "there are lines of a run that is not known")
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

/// The event that tells of a closed log.
fn record(run: &RunName, log: &Log) -> Write {
    let sha256 = log.sha256.clone().unwrap_or_default();
    let id = Uuid::new_v5(&CLOSED, format!("{run} {} {sha256}", log.line_count).as_bytes());
    let event =
        events::RunLogClosed { run: run.to_string(), line_count: log.line_count, size_bytes: log.size_bytes, sha256 };
    let mut metadata = Metadata::of_service("experiments");
    metadata.project = Some(run.parent().parent().to_string());
    metadata.resource = run.to_string();
    let event = NewEvent {
        id,
        kind: Cow::Owned(events::RunLogClosed::full_name()),
        payload: event.encode_to_vec().into(),
        metadata: metadata.encode().into(),
    };
    Write::new(StreamName::of(CATEGORY, run), Expected::Any, vec![event])
}

/// Hears how runs fare for as long as somebody else holds the logs: this holds nothing open.
pub(super) fn close_what_ends(logs: &RunLogs) {
    let logs = Arc::downgrade(&logs.inner);
    tokio::spawn(async move {
        while let Some(inner) = logs.upgrade() {
            match prepared(&RunLogs { inner }).await {
                Ok(subscription) => follow(&logs, subscription).await,
                Err(fault) => warn!(fault = fault.message, "the ends of runs cannot be heard for their logs"),
            }
            sleep(RETRY).await;
        }
    });
}

async fn prepared(logs: &RunLogs) -> Result<Subscription, Refusal> {
    logs.close_overdue().await?;
    let kinds = ["RunFinished", "RunResumed", "RunDeleted", "RunRestored"];
    let kinds = kinds.map(|kind| format!("cairn.experiments.events.v1.{kind}")).into();
    let filter = Filter { kinds, ..Filter::categories([Run::CATEGORY]) };
    // Of a log of events that was restored, less is there than has been heard.
    let heard = logs.inner.book.heard().await?.min(*logs.inner.store.head().borrow());
    Ok(Subscription::new(Arc::clone(&logs.inner.store), heard, filter))
}

/// Goes on until something fails: what failed is heard again.
async fn follow(logs: &Weak<Inner>, mut subscription: Subscription) {
    let mut sweep_at = Instant::now();
    loop {
        let message = tokio::select! {
            message = subscription.next() => Some(message),
            () = sleep_until(sweep_at) => None,
        };
        let Some(inner) = logs.upgrade() else { return };
        let logs = RunLogs { inner };
        let done = match message {
            None => {
                sweep_at = Instant::now() + SWEEP_PERIOD;
                swept(&logs).await
            }
            Some(Ok(message)) => heard(&logs, message).await,
            Some(Err(fault)) => Err(fault.into()),
        };
        if let Err(fault) = done {
            warn!(fault = fault.message, "the end of a run is not heard for its log yet");
            return;
        }
    }
}

async fn heard(logs: &RunLogs, message: Message) -> Result<(), Refusal> {
    let position = match message {
        Message::Events(events) => {
            for recorded in &events {
                logs.hear(recorded).await?;
            }
            events.last().map(|recorded| recorded.position)
        }
        Message::Checkpoint(position) | Message::CaughtUp(position) => Some(position),
    };
    if let Some(position) = position {
        logs.inner.book.note_heard(position).await?;
    }
    Ok(())
}

async fn swept(logs: &RunLogs) -> Result<(), Refusal> {
    let removed = logs.forget_deleted().await?;
    if removed > 0 {
        info!(removed, "removed the logs of runs that were deleted long ago");
    }
    Ok(())
}
