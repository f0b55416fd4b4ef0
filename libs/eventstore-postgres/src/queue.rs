use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cairn_eventstore::{AppendFault, Appended, Retention, Write};
use cairn_kernel::StreamName;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::meters::Meters;

/// How long a caller is asked to wait when there is no room: some commits' time.
const RETRY_AFTER: Duration = Duration::from_millis(25);

/// Something for the writer to do.
pub(crate) enum Job {
    Append {
        writes: Vec<Write>,
        events: usize,
        bytes: usize,
        queued: Instant,
        answer: oneshot::Sender<Result<Appended, AppendFault>>,
    },
    Retain {
        stream: StreamName,
        retention: Retention,
        answer: oneshot::Sender<Result<(), AppendFault>>,
    },
}

impl Job {
    fn events(&self) -> usize {
        match self {
            Self::Append { events, .. } => *events,
            Self::Retain { .. } => 0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append { bytes, .. } => *bytes,
            Self::Retain { .. } => 0,
        }
    }

    pub(crate) fn refuse(self, fault: AppendFault) {
        // A caller that no longer waits needs no answer.
        match self {
            Self::Append { answer, .. } => drop(answer.send(Err(fault))),
            Self::Retain { answer, .. } => drop(answer.send(Err(fault))),
        }
    }
}

/// Where callers stand in line for the writer. Bounded in appends and bytes, counted until they are answered.
pub(crate) struct Queue {
    line: Mutex<Line>,
    arrived: Notify,
    appends_max: usize,
    bytes_max: usize,
    meters: Meters,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Of the jobs in line and of those the writer is at.
    appends: usize,
    bytes: usize,
    /// Whether the writer sleeps until somebody comes.
    is_awaited: bool,
    is_poked: bool,
    closed: Option<AppendFault>,
}

impl Line {
    fn has_news(&self) -> bool {
        !self.jobs.is_empty() || self.is_poked || self.closed.is_some()
    }
}

/// What goes into a batch. One append is never split.
#[derive(Clone, Copy)]
pub(crate) struct BatchRoom {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// What the writer finds when it looks.
#[derive(Debug, PartialEq)]
pub(crate) enum News {
    Jobs,
    /// Nobody came in time, or somebody asks whether the database is there.
    Nothing,
    /// Closed, and nobody is left.
    Closed,
}

impl Queue {
    pub(crate) fn new(appends_max: usize, bytes_max: usize, meters: Meters) -> Self {
        Self { line: Mutex::default(), arrived: Notify::new(), appends_max, bytes_max, meters }
    }

    /// Takes a place in line, or says why there is none.
    pub(crate) fn push(&self, job: Job) -> Result<(), AppendFault> {
        let bytes = job.bytes();
        let mut line = self.line.lock();
        if let Some(fault) = &line.closed {
            return Err(fault.clone());
        }
        // One append always fits, however large: it was held against the limits of an append already.
        let is_full = line.appends >= self.appends_max || (line.appends > 0 && line.bytes + bytes > self.bytes_max);
        if is_full {
            self.meters.refused_busy.increment(1);
            return Err(AppendFault::Busy { retry_after: RETRY_AFTER });
        }
        line.appends += 1;
        line.bytes += bytes;
        line.jobs.push_back(job);
        let is_awaited = std::mem::take(&mut line.is_awaited);
        drop(line);
        if is_awaited {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Asks the writer to find out whether it could write.
    pub(crate) fn poke(&self) {
        self.line.lock().is_poked = true;
        self.arrived.notify_one();
    }

    /// Waits for somebody to come.
    pub(crate) async fn news(&self, patience: Duration) -> News {
        self.wait_for_one(patience).await;
        let mut line = self.line.lock();
        // With somebody in line, whoever asks is told by what becomes of them.
        line.is_poked = false;
        match &line.closed {
            _ if !line.jobs.is_empty() => News::Jobs,
            Some(_) => News::Closed,
            None => News::Nothing,
        }
    }

    /// Waits until so many are in line, or for as long.
    ///
    /// Those who were answered last are likely to come again at once: without waiting a moment for them, each batch would
    /// hold only the quickest of many clients.
    ///
    /// Looks again and again and lets others run in between: the time is shorter than a timer can tell.
    pub(crate) async fn gather(&self, count: usize, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.is_short_of(count) && Instant::now() < deadline {
            yield_now().await;
        }
    }

    fn is_short_of(&self, count: usize) -> bool {
        let line = self.line.lock();
        line.jobs.len() < count && line.closed.is_none()
    }

    async fn wait_for_one(&self, patience: Duration) {
        let arrived = async {
            loop {
                {
                    let mut line = self.line.lock();
                    line.is_awaited = !line.has_news();
                    if !line.is_awaited {
                        return;
                    }
                }
                self.arrived.notified().await;
            }
        };
        // Time out or not, whoever looks next sees what there is.
        let _ = timeout(patience, arrived).await;
        self.line.lock().is_awaited = false;
    }

    /// Everybody in line, as many as go into one batch. The first goes however large it is, or it would never be stored.
    pub(crate) fn take(&self, room: BatchRoom) -> Vec<Job> {
        let mut line = self.line.lock();
        self.meters.waiting_appends.set(line.appends as f64);
        self.meters.waiting_bytes.set(line.bytes as f64);
        let (mut events, mut bytes) = (0, 0);
        let fits = |job: &&Job| {
            events += job.events();
            bytes += job.bytes();
            events <= room.events && bytes <= room.bytes
        };
        let count = line.jobs.iter().take_while(fits).count().max(1).min(line.jobs.len());
        line.jobs.drain(..count).collect()
    }

    /// Makes room again for jobs about to be answered.
    pub(crate) fn leave(&self, jobs: &[Job]) {
        let mut line = self.line.lock();
        line.appends = line.appends.saturating_sub(jobs.len());
        line.bytes = line.bytes.saturating_sub(jobs.iter().map(Job::bytes).sum());
    }

    /// Lets nobody in any more. Whoever is in line is still served.
    pub(crate) fn close(&self) {
        self.line.lock().closed.get_or_insert(AppendFault::Unavailable("it is closed".into()));
        self.arrived.notify_one();
    }

    /// Lets nobody in any more and sends away whoever is in line.
    pub(crate) fn fail(&self, fault: &AppendFault) {
        let mut line = self.line.lock();
        line.closed = Some(fault.clone());
        for job in std::mem::take(&mut line.jobs) {
            job.refuse(fault.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_kernel::Expected;

    use super::*;

    const WIDE: BatchRoom = BatchRoom { events: 100, bytes: 1 << 20 };
    const HOUR: Duration = Duration::from_secs(3600);

    fn queue() -> Queue {
        Queue::new(4, 1 << 20, Meters::new())
    }

    fn append(bytes: usize) -> Job {
        let writes = vec![Write::new(StreamName::of("t", "1"), Expected::Any, vec![])];
        Job::Append { writes, events: 1, bytes, queued: Instant::now(), answer: oneshot::channel().0 }
    }

    #[test]
    fn a_batch_takes_as_many_as_fit_and_the_first_however_large_it_is() {
        let queue = queue();
        for bytes in [900, 10, 10, 10] {
            queue.push(append(bytes)).expect("there is room");
        }
        assert_eq!(queue.take(BatchRoom { events: 9, bytes: 100 }).len(), 1);
        assert_eq!(queue.take(BatchRoom { events: 2, bytes: 100 }).len(), 2);
        assert_eq!(queue.take(WIDE).len(), 1);
        assert_eq!(queue.take(WIDE).len(), 0);
    }

    #[test]
    fn whoever_is_served_counts_until_answered() {
        let queue = queue();
        (0..4).for_each(|_| queue.push(append(1)).expect("there is room"));
        let jobs = queue.take(WIDE);
        assert!(matches!(queue.push(append(1)), Err(AppendFault::Busy { .. })));
        queue.leave(&jobs);
        queue.push(append(1)).expect("there is room again");
    }

    #[tokio::test]
    async fn news_come_when_somebody_comes_asks_or_closes() {
        let queue = queue();
        assert_eq!(queue.news(Duration::from_millis(1)).await, News::Nothing);
        let (found, ()) = tokio::join!(queue.news(HOUR), async { queue.push(append(1)).expect("there is room") });
        assert_eq!(found, News::Jobs);
        queue.gather(2, Duration::from_millis(1)).await;
        assert_eq!(queue.take(WIDE).len(), 1);
        let (found, ()) = tokio::join!(queue.news(HOUR), async { queue.poke() });
        assert_eq!(found, News::Nothing);
        queue.push(append(1)).expect("it is open");
        queue.close();
        assert!(queue.push(append(1)).is_err());
        assert_eq!(queue.news(HOUR).await, News::Jobs, "whoever is in line is still served");
        queue.take(WIDE);
        assert_eq!(queue.news(HOUR).await, News::Closed);
    }
}
