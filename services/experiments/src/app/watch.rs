use std::collections::HashSet;
use std::time::Duration;

use cairn_eventstore::{Direction, Stored};
use cairn_kernel::{Code, Position, Revision};
use cairn_service::Refusal;
use futures::Stream;
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::App;
use crate::model::run::Change;
use crate::model::{Run, RunName, RunState};

/// Events read at a time.
const PAGE_EVENTS: usize = 256;
/// After the log has moved, wait so long before looking for points: a busy log moves all the time.
const PAUSE: Duration = Duration::from_millis(20);

/// What to follow.
#[derive(Clone, Debug, Default)]
pub struct WatchFrom {
    /// Only these metrics. Empty: all of them.
    pub metrics: HashSet<String>,
    /// Only what was logged after this position.
    pub after: Position,
}

/// What was logged since the last answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Name, step, time in milliseconds, value.
    pub points: Vec<(String, i64, i64, f64)>,
    pub position: Position,
    /// Whether everything logged before the request has been sent.
    pub is_live: bool,
    /// How the run ended: nothing follows.
    pub ended: Option<RunState>,
}

struct Watch {
    app: App,
    run: RunName,
    from: WatchFrom,
    next: Revision,
    position: Position,
    state: RunState,
    is_live: bool,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl App {
    /// Follows the points of a run, first those logged already, then live, straight from the run's own stream.
    ///
    /// Following on after a position reads what came after it, twice, and nothing of what came before: a client on a bad
    /// line may come back as often as it has to.
    pub async fn watch_metrics(
        &self,
        run: &RunName,
        from: WatchFrom,
    ) -> Result<impl Stream<Item = Result<Watched, Refusal>> + Send + use<>, Refusal> {
        let state = self.run_state(run).await?;
        let permit = self.inner.watchers.clone().try_acquire_owned().map_err(|_| {
            Refusal::new(Code::ResourceExhausted, "RATE_LIMITED", "too many callers follow metrics")
                .after(Duration::from_secs(5))
        })?;
        let next = self.first_after(run, from.after).await?;
        let watch = Watch {
            app: self.clone(),
            run: run.clone(),
            position: from.after,
            from,
            next,
            state: if state.state.is_terminal() { state.state } else { RunState::Running },
            is_live: false,
            is_over: false,
            _permit: permit,
        };
        Ok(stream::unfold(watch, |mut watch| async move {
            if watch.is_over {
                return None;
            }
            let answer = watch.answer().await;
            watch.is_over = answer.as_ref().map_or(true, |watched| watched.ended.is_some());
            Some((answer, watch))
        }))
    }

    /// The place in a run's stream that follows a position: looked for from the end, where it is not far.
    async fn first_after(&self, run: &RunName, position: Position) -> Result<Revision, Refusal> {
        let (stream, store) = (run.stream(), self.inner.commands.store());
        if position == Position::START {
            return Ok(Revision(0));
        }
        let mut from = Revision(u64::MAX);
        loop {
            let events = store.read(&stream, from, Direction::Backwards, PAGE_EVENTS).await?;
            if let Some(seen) = events.iter().find(|recorded| recorded.position <= position) {
                return Ok(seen.revision.next());
            }
            match events.last().and_then(|earliest| earliest.revision.0.checked_sub(1)) {
                Some(before) => from = Revision(before),
                None => return Ok(Revision(0)),
            }
        }
    }
}

impl Watch {
    /// Waits until there is something to say.
    async fn answer(&mut self) -> Result<Watched, Refusal> {
        let mut head = self.app.inner.commands.store().head();
        loop {
            head.mark_unchanged();
            let (points, is_end) = self.read().await?;
            let was_live = self.is_live;
            self.is_live |= is_end;
            let ended = Some(self.state).filter(|state| is_end && state.is_terminal());
            if !points.is_empty() || ended.is_some() || self.is_live != was_live {
                return Ok(Watched { points, position: self.position, is_live: self.is_live, ended });
            }
            if is_end {
                let moved = head.changed().await;
                moved.map_err(|_| Refusal::new(Code::Unavailable, "SHUTTING_DOWN", "the event store has stopped"))?;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The points of the next few events, and whether they are the last for now.
    async fn read(&mut self) -> Result<(Vec<(String, i64, i64, f64)>, bool), Refusal> {
        let stream = self.run.stream();
        let store = self.app.inner.commands.store();
        let events = store.read(&stream, self.next, Direction::Forwards, PAGE_EVENTS).await?;
        let mut points = vec![];
        for recorded in &events {
            self.next = recorded.revision.next();
            let event = Run::decode(&recorded.kind, &recorded.payload);
            let event = event.map_err(|fault| Refusal::internal(fault.to_string()))?;
            match &event.change {
                Change::Finished { state, .. } | Change::Resumed { state, .. } => self.state = *state,
                Change::MetricsLogged(logged) if recorded.position > self.from.after => {
                    let wanted = |key: &str| self.from.metrics.is_empty() || self.from.metrics.contains(key);
                    let wanted = logged.iter().filter(|(key, _)| wanted(key));
                    points.extend(wanted.map(|(key, point)| (key.to_owned(), point.step, point.time_ms, point.value)));
                }
                _ => {}
            }
            self.position = self.position.max(recorded.position);
        }
        Ok((points, events.len() < PAGE_EVENTS))
    }
}
