use std::time::Duration;

use cairn_kernel::{Code, Position, Time};
use cairn_service::Refusal;
use futures::Stream;
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Line, RunLogs, Wanted};
use crate::model::{RunName, RunState};

/// Lines read at a time.
const PAGE_LINES: usize = 1000;
/// After something has changed somewhere, wait so long before looking: a busy log changes all the time.
const PAUSE: Duration = Duration::from_millis(20);

/// Where to begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// After the line with this number.
    pub after: u64,
    /// Of the lines that are there already, only the last so many.
    pub tail: Option<u64>,
    /// Only lines that are not older.
    pub since: Option<Time>,
}

/// What was logged since the last answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    pub lines: Vec<Line>,
    /// Whether everything logged before the request has been sent.
    pub is_live: bool,
    /// How the run ended: nothing follows.
    pub ended: Option<RunState>,
}

struct Follower {
    logs: RunLogs,
    run: RunName,
    wanted: Wanted,
    changed: watch::Receiver<()>,
    head: watch::Receiver<Position>,
    is_live: bool,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl RunLogs {
    /// Where the lines that are wanted begin.
    pub async fn beginning(&self, run: &RunName, from: Start, limit: usize) -> Result<Wanted, Refusal> {
        let log = self.log(run).await?;
        let tail = from.tail.map_or(0, |tail| log.line_count.saturating_sub(tail));
        let since = from.since.unwrap_or(Time::from_micros(i64::MIN));
        Ok(Wanted { after: from.after.max(tail), since, limit })
    }

    /// Follows the log of a run: first the lines that are there, then those that come, until the run has ended.
    pub async fn follow(
        &self,
        run: &RunName,
        from: Start,
    ) -> Result<impl Stream<Item = Result<Followed, Refusal>> + Send + use<>, Refusal> {
        let permit = self.inner.watchers.clone().try_acquire_owned().map_err(|_| {
            Refusal::new(Code::ResourceExhausted, "RATE_LIMITED", "too many callers follow logs")
                .after(Duration::from_secs(5))
        })?;
        let follower = Follower {
            wanted: self.beginning(run, from, PAGE_LINES).await?,
            changed: self.inner.changed.subscribe(),
            head: self.inner.store.head(),
            logs: self.clone(),
            run: run.clone(),
            is_live: false,
            is_over: false,
            _permit: permit,
        };
        Ok(stream::unfold(follower, |mut follower| async move {
            if follower.is_over {
                return None;
            }
            let answer = follower.answer().await;
            follower.is_over = answer.as_ref().map_or(true, |followed| followed.ended.is_some());
            Some((answer, follower))
        }))
    }
}

impl Follower {
    /// Waits until there is something to say.
    async fn answer(&mut self) -> Result<Followed, Refusal> {
        loop {
            self.changed.mark_unchanged();
            self.head.mark_unchanged();
            let ended = self.ended().await?;
            let lines = self.logs.lines(&self.run, self.wanted).await?;
            let is_end = lines.len() < self.wanted.limit;
            if let Some(last) = lines.last() {
                self.wanted.after = last.number;
            }
            let was_live = self.is_live;
            self.is_live |= is_end;
            let ended = ended.filter(|_| is_end);
            if !lines.is_empty() || ended.is_some() || self.is_live != was_live {
                return Ok(Followed { lines, is_live: self.is_live, ended });
            }
            if is_end {
                let moved = tokio::select! {
                    moved = self.changed.changed() => moved,
                    moved = self.head.changed() => moved,
                };
                moved.map_err(|_| Refusal::new(Code::Unavailable, "SHUTTING_DOWN", "the event store has stopped"))?;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// How the run ended, once its log takes no more: lines read after this are all there are.
    async fn ended(&self) -> Result<Option<RunState>, Refusal> {
        let state = self.logs.inner.app.run_state(&self.run).await?.state;
        if !state.is_terminal() {
            return Ok(None);
        }
        let log = self.logs.log(&self.run).await?;
        Ok((log.sha256.is_some() || log.line_count == 0).then_some(state))
    }
}
