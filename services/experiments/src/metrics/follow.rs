//! Feeds an engine of points from the log. Of several processes one writes; the others look whether it gets on, and take over
//! when it does not.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cairn_contract::cairn::experiments::events::v1::MetricsLogged;
use cairn_eventstore::{Direction, Filter, Message, ReadFault, Recorded, Stored, Subscription};
use cairn_kernel::{Aggregate, Position};
use cairn_points::{Batch, Checkpoint, EngineFault, Entry, Tenure};
use metrics::{counter, histogram};
use prost::Name;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::followed::Shared;
use super::packed::Row;
use crate::model::Run;
use crate::model::run::Change;

/// Points of one write, after which no further event is added. An event is never split.
const POINTS_MAX: usize = 65_536;
/// Bytes of events of one write, likewise.
const BYTES_MAX: usize = 8 << 20;
/// Writes are at least so far apart while nobody waits for one: an engine likes few large ones.
const LINGER: Duration = Duration::from_millis(200);
/// How long a write waits for what is already in the log.
const GATHER: Duration = Duration::from_millis(20);
/// Over so many events without points, the checkpoint is not written. What a restart reads again.
const UNWANTED_EVENTS_MAX: u64 = 50_000;
/// How often a process that does not write looks how far the one that does has come: while somebody waits, and else at most.
const POLLS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// How long the one that writes may get nowhere before another takes over.
const STANDSTILL_MAX: Duration = Duration::from_secs(3);
/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long this process may take to see what another has read in the log.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// Why a process does no longer write, or wait.
enum End {
    /// Whoever writes stands still.
    Standstill,
    Engine(EngineFault),
    Log(ReadFault),
}

impl From<EngineFault> for End {
    fn from(fault: EngineFault) -> Self {
        Self::Engine(fault)
    }
}

impl From<ReadFault> for End {
    fn from(fault: ReadFault) -> Self {
        Self::Log(fault)
    }
}

/// Goes on for ever.
pub(super) async fn follow(shared: &Shared) {
    let mut pause = PAUSES.0;
    let mut leads = true;
    loop {
        let ended = if leads { shared.lead().await } else { shared.stand_by().await };
        let Err(end) = ended;
        // It had got over what it stumbled over before.
        if shared.state().trouble.is_none() {
            pause = PAUSES.0;
        }
        match end {
            End::Standstill => {
                info!(store = shared.engine.place(), "the process that stores points gets nowhere: taking over");
                leads = true;
                continue;
            }
            End::Engine(EngineFault::Fenced) => {
                info!(store = shared.engine.place(), "another process stores points now");
                leads = false;
            }
            End::Engine(fault) => {
                if matches!(fault, EngineFault::Unsuitable(_)) {
                    pause = PAUSES.1;
                }
                shared.stumbles(fault);
            }
            End::Log(fault) => shared.stumbles(EngineFault::Away(format!("the log cannot be read: {fault}"))),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

impl Shared {
    /// Writes until something is wrong.
    async fn lead(&self) -> Result<Infallible, End> {
        self.engine.prepare().await?;
        // Before anything is taken from anybody: it may be the store of another log.
        self.belongs_here(&self.engine.checkpoint().await?).await?;
        let (tenure, mut from) = self.engine.take_over().await?;
        self.belongs_here(&from).await?;
        self.begins(from.position, true);
        let mut subscription = self.subscription(from.position);
        let mut written = Instant::now();
        loop {
            let (batch, beyond) = self.gather(&mut subscription, from, written).await?;
            if batch.to != from {
                self.write(tenure, &batch).await?;
                (from, written) = (batch.to, Instant::now());
            } else if beyond.0 >= from.position.0 + UNWANTED_EVENTS_MAX {
                let to = Checkpoint { position: beyond, event: None, time: from.time };
                self.write(tenure, &Batch { from, entries: vec![], to }).await?;
                from = to;
            }
            self.reaches(beyond.max(from.position));
        }
    }

    /// What is to be written next, and how far the log was read for it.
    async fn gather(
        &self,
        subscription: &mut Subscription,
        from: Checkpoint,
        written: Instant,
    ) -> Result<(Batch, Position), ReadFault> {
        let mut batch = Batch { from, entries: vec![], to: from };
        let (mut points, mut bytes, mut beyond) = (0, 0, from.position);
        let mut message = subscription.next().await?;
        let now = Instant::now();
        let until = if self.is_awaited() { now } else { (written + LINGER).max(now + GATHER) };
        loop {
            match message {
                Message::Events(events) => {
                    for recorded in &events {
                        bytes += recorded.payload.len();
                        if let Some(entry) = entry(recorded) {
                            points += entry.points.len();
                            batch.entries.push(entry);
                        }
                        let (position, event) = (recorded.position, Some(recorded.id));
                        batch.to = Checkpoint { position, event, time: recorded.time };
                        beyond = position;
                    }
                }
                Message::Checkpoint(position) | Message::CaughtUp(position) => {
                    beyond = position;
                    if batch.to == from || self.is_awaited() {
                        return Ok((batch, beyond));
                    }
                }
            }
            if points >= POINTS_MAX || bytes >= BYTES_MAX {
                return Ok((batch, beyond));
            }
            message = tokio::select! {
                biased;
                message = subscription.next() => message?,
                () = self.awaited.notified() => return Ok((batch, beyond)),
                () = sleep_until(until) => return Ok((batch, beyond)),
            };
        }
    }

    async fn write(&self, tenure: Tenure, batch: &Batch) -> Result<(), EngineFault> {
        let started = Instant::now();
        self.engine.write(tenure, batch).await?;
        let points: usize = batch.entries.iter().map(|entry| entry.points.len()).sum();
        histogram!("cairn_metric_store_write_seconds").record(started.elapsed().as_secs_f64());
        counter!("cairn_metric_store_written_points_total").increment(points as u64);
        Ok(())
    }

    /// Looks on while another process writes, until that gets nowhere.
    async fn stand_by(&self) -> Result<Infallible, End> {
        let mut known = self.engine.checkpoint().await?;
        self.belongs_here(&known).await?;
        self.begins(known.position, false);
        let mut subscription = self.subscription(known.position);
        loop {
            match subscription.next().await? {
                Message::Events(events) => {
                    let Some(last) = events.last().map(|recorded| recorded.position) else { continue };
                    let (mut moved, mut pause) = (Instant::now(), POLLS.0);
                    while known.position < last {
                        sleep(if self.is_awaited() { POLLS.0 } else { pause }).await;
                        pause = (pause * 2).min(POLLS.1);
                        let now = self.engine.checkpoint().await?;
                        if now.position > known.position {
                            (known, moved) = (now, Instant::now());
                            self.reaches(known.position);
                        } else if moved.elapsed() > STANDSTILL_MAX {
                            return Err(End::Standstill);
                        }
                    }
                    self.reaches(last);
                }
                // What of this has points was waited for.
                Message::Checkpoint(position) | Message::CaughtUp(position) => self.reaches(position),
            }
        }
    }

    fn subscription(&self, from: Position) -> Subscription {
        let kinds = vec![MetricsLogged::full_name()];
        Subscription::new(Arc::clone(&self.store), from, Filter { kinds, ..Filter::categories([Run::CATEGORY]) })
    }

    /// Whether what is stored comes from this log. It is nobody's to delete otherwise: it may be that of another deployment.
    async fn belongs_here(&self, known: &Checkpoint) -> Result<(), End> {
        let foreign = |why: String| {
            let what = "METRIC_STORE_FOREIGN: what it holds was made from another log";
            End::Engine(EngineFault::Unsuitable(format!("{what} ({why}): name another database, or remove its tables")))
        };
        let mut head = self.store.head();
        // Another process may have been quicker to see the end of the log.
        let seen = timeout(HEAD_PATIENCE, head.wait_for(|head| *head >= known.position)).await.is_ok();
        if !seen {
            let ends = *self.store.head().borrow();
            return Err(foreign(format!("it is at position {} and the log ends at {ends}", known.position)));
        }
        let Some(event) = known.event else { return Ok(()) };
        let before = Position(known.position.0.saturating_sub(1));
        let page = self.store.read_all(before, Direction::Forwards, &Filter::all(), 1).await?;
        // An event that is no longer kept says nothing.
        match page.events.first().filter(|found| found.position == known.position) {
            Some(found) if found.id != event => {
                Err(foreign(format!("another event is at position {}", known.position)))
            }
            _ => Ok(()),
        }
    }
}

/// The points of an event, unless it has none. One that cannot be read is passed over: nobody could ever read it.
fn entry(recorded: &Recorded) -> Option<Entry> {
    let event = match Run::decode(&recorded.kind, &recorded.payload) {
        Ok(event) => event,
        Err(fault) => {
            warn!(position = recorded.position.0, %fault, "an event cannot be read, and its points are missing");
            counter!("cairn_metric_store_unreadable_events_total").increment(1);
            return None;
        }
    };
    let Change::MetricsLogged(logged) = event.change else { return None };
    let points: Vec<_> = logged
        .points
        .iter()
        .map(|point| (point.key, Row { step: point.step, time_ms: point.time_ms, value: point.value }))
        .collect();
    (!points.is_empty()).then(|| Entry {
        project: event.run.project().to_owned(),
        run: event.run.run().to_owned(),
        position: recorded.position,
        event: recorded.id,
        time: recorded.time,
        metrics: logged.keys.clone(),
        points,
    })
}
