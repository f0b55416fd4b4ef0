use std::collections::VecDeque;
use std::hint::spin_loop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_eventstore::{AppendFault, Appended, Recorded, Retention, Write};
use cairn_kernel::StreamName;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::meters::Meters;
use crate::primary::Entry;

/// How long a caller is asked to wait when there is no room: some commits' time.
const RETRY_AFTER: Duration = Duration::from_millis(25);

/// Pauses of the processor between two looks at the line, so that whoever comes finds it free.
const LOOKS_PAUSE: u32 = 16;

pub(crate) type Answer = oneshot::Sender<Result<Appended, AppendFault>>;

/// Something for the writer to do.
pub(crate) enum Job {
    Append {
        writes: Vec<Write>,
        events: usize,
        bytes: usize,
        queued: Instant,
        answer: Answer,
    },
    Retain {
        stream: StreamName,
        retention: Retention,
        answer: oneshot::Sender<Result<(), AppendFault>>,
    },
    /// What the primary log has behind its first `from` entries, where this is a copy.
    Follow {
        from: u64,
        entries: Vec<Entry>,
        bytes: usize,
        /// Told how many entries are here.
        answer: oneshot::Sender<Result<u64, AppendFault>>,
    },
    /// Events of another log.
    TakeOver {
        events: Vec<Arc<Recorded>>,
        bytes: usize,
        answer: oneshot::Sender<Result<(), AppendFault>>,
    },
}

impl Job {
    pub(crate) fn events(&self) -> usize {
        match self {
            Self::Append { events, .. } => *events,
            Self::TakeOver { events, .. } => events.len(),
            Self::Follow { entries, .. } => entries.len(),
            Self::Retain { .. } => 0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append { bytes, .. } | Self::TakeOver { bytes, .. } | Self::Follow { bytes, .. } => *bytes,
            Self::Retain { .. } => 0,
        }
    }

    pub(crate) fn refuse(self, fault: AppendFault) {
        // A caller that no longer waits needs no answer.
        match self {
            Self::Append { answer, .. } => drop(answer.send(Err(fault))),
            Self::Follow { answer, .. } => drop(answer.send(Err(fault))),
            Self::Retain { answer, .. } | Self::TakeOver { answer, .. } => drop(answer.send(Err(fault))),
        }
    }
}

/// Where callers stand in line for the writer. Bounded in appends and bytes, counted until they are answered.
pub(crate) struct Queue {
    line: Mutex<Line>,
    arrived: Condvar,
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
    /// Jobs in line at which the writer wants to be woken.
    wanted: usize,
    is_poked: bool,
    closed: Option<AppendFault>,
}

/// What still goes into a batch. One append is never split.
#[derive(Clone, Copy)]
pub(crate) struct BatchRoom {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl BatchRoom {
    /// What is left beside `jobs`.
    pub(crate) fn without(self, jobs: &[Job]) -> Self {
        let (events, bytes) = (jobs.iter().map(Job::events).sum(), jobs.iter().map(Job::bytes).sum());
        Self { events: self.events.saturating_sub(events), bytes: self.bytes.saturating_sub(bytes) }
    }
}

impl Line {
    fn has_news(&self) -> bool {
        !self.jobs.is_empty() || self.closed.is_some() || self.is_poked
    }

    /// How many of those in line, from the first, fit.
    fn fitting(&self, room: &BatchRoom) -> usize {
        let mut left = *room;
        let fits = |job: &&Job| {
            let fits = job.events() <= left.events && job.bytes() <= left.bytes;
            left = left.without(std::slice::from_ref(job));
            fits
        };
        self.jobs.iter().take_while(fits).count()
    }
}

/// What the writer finds when it looks.
pub(crate) enum Taken {
    Jobs(Vec<Job>),
    /// Nobody came in time, or somebody asks for housekeeping.
    Nothing,
    /// Closed, and nobody is left.
    Closed,
}

impl Queue {
    pub(crate) fn new(appends_max: usize, bytes_max: usize, meters: Meters) -> Self {
        Self { line: Mutex::default(), arrived: Condvar::new(), appends_max, bytes_max, meters }
    }

    /// Takes a place in line, or says why there is none.
    pub(crate) fn push(&self, job: Job) -> Result<(), AppendFault> {
        let (appends, bytes) = (1, job.bytes());
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
        line.appends += appends;
        line.bytes += bytes;
        line.jobs.push_back(job);
        let is_awaited = line.jobs.len() == line.wanted;
        drop(line);
        if is_awaited {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Asks the writer to look after its housekeeping.
    pub(crate) fn poke(&self) {
        self.line.lock().is_poked = true;
        self.arrived.notify_one();
    }

    /// Everybody in line, as many as go into one batch; waits for somebody to come.
    ///
    /// Looks out for `attention` before it goes to sleep: one client that appends again as soon as it is answered is
    /// back sooner than a thread can be put to sleep and woken.
    pub(crate) fn take(&self, room: &BatchRoom, attention: Duration, patience: Duration) -> Taken {
        let mut line = self.await_first(attention, patience);
        line.wanted = 0;
        line.is_poked = false;
        if line.jobs.is_empty() {
            return if line.closed.is_some() { Taken::Closed } else { Taken::Nothing };
        }
        // The first fits however large it is, or it would never be stored.
        let count = line.fitting(room).max(1);
        self.meters.waiting_appends.set(line.appends as f64);
        self.meters.waiting_bytes.set(line.bytes as f64);
        Taken::Jobs(line.jobs.drain(..count).collect())
    }

    /// Those who came while others were served, as many as still go into the batch.
    ///
    /// Those who were answered last are likely to come again at once: as long as `missing` of them have not, they are
    /// waited for until `deadline`, or each batch would hold only the quickest of many clients.
    pub(crate) fn more(&self, room: &BatchRoom, missing: usize, deadline: Instant) -> Vec<Job> {
        let mut line = self.line.lock();
        line.wanted = missing;
        while line.jobs.is_empty() && missing > 0 && line.closed.is_none() {
            if self.arrived.wait_until(&mut line, deadline).timed_out() {
                break;
            }
        }
        line.wanted = 0;
        let count = line.fitting(room);
        line.jobs.drain(..count).collect()
    }

    fn await_first(&self, attention: Duration, patience: Duration) -> MutexGuard<'_, Line> {
        let since = Instant::now();
        loop {
            let line = self.line.lock();
            if line.has_news() || since.elapsed() >= attention {
                break;
            }
            drop(line);
            (0..LOOKS_PAUSE).for_each(|_| spin_loop());
        }
        let deadline = since + patience;
        let mut line = self.line.lock();
        line.wanted = 1;
        while !line.has_news() {
            if self.arrived.wait_until(&mut line, deadline).timed_out() {
                break;
            }
        }
        line
    }

    /// Makes room again for jobs about to be answered.
    pub(crate) fn leave(&self, jobs: usize, bytes: usize) {
        let mut line = self.line.lock();
        line.appends = line.appends.saturating_sub(jobs);
        line.bytes = line.bytes.saturating_sub(bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line.lock().jobs.is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.line.lock().closed.is_some()
    }

    /// Lets nobody in any more. Whoever is in line is still served.
    pub(crate) fn close(&self) {
        self.line.lock().closed.get_or_insert(AppendFault::Unavailable("it is closed".into()));
        self.arrived.notify_one();
    }

    /// Lets nobody in any more and sends away whoever is in line.
    pub(crate) fn fail(&self, fault: AppendFault) {
        let mut line = self.line.lock();
        line.closed = Some(fault.clone());
        for job in std::mem::take(&mut line.jobs) {
            job.refuse(fault.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cairn_eventstore::NewEvent;
    use cairn_kernel::Expected;
    use uuid::Uuid;

    use super::*;

    const WIDE: BatchRoom = BatchRoom { events: 100, bytes: 1 << 20 };
    const HOUR: Duration = Duration::from_secs(3600);

    fn queue() -> Queue {
        Queue::new(100, 1 << 20, Meters::new())
    }

    fn append(bytes: usize) -> Job {
        let event = NewEvent { id: Uuid::nil(), kind: "t.X".into(), payload: Bytes::new(), metadata: Bytes::new() };
        let writes = vec![Write::new(StreamName::of("t", "1"), Expected::Any, vec![event])];
        Job::Append { writes, events: 1, bytes, queued: Instant::now(), answer: oneshot::channel().0 }
    }

    fn taken(queue: &Queue, room: &BatchRoom) -> usize {
        match queue.take(room, Duration::ZERO, HOUR) {
            Taken::Jobs(jobs) => jobs.len(),
            Taken::Nothing | Taken::Closed => 0,
        }
    }

    #[test]
    fn a_batch_takes_as_many_as_fit_and_the_first_however_large_it_is() {
        let queue = queue();
        for bytes in [900, 10, 10, 10] {
            queue.push(append(bytes)).expect("there is room");
        }
        assert_eq!(taken(&queue, &BatchRoom { events: 9, bytes: 100 }), 1);
        assert_eq!(taken(&queue, &BatchRoom { events: 2, bytes: 100 }), 2);
        assert_eq!(taken(&queue, &BatchRoom { events: 2, bytes: 100 }), 1);
    }

    #[test]
    fn whoever_came_meanwhile_joins_if_it_fits_and_nobody_is_waited_for_in_vain() {
        let queue = queue();
        assert!(queue.more(&WIDE, 0, Instant::now() + HOUR).is_empty());
        assert!(queue.more(&WIDE, 5, Instant::now()).is_empty());
        for bytes in [10, 10, 900] {
            queue.push(append(bytes)).expect("there is room");
        }
        assert_eq!(queue.more(&BatchRoom { events: 9, bytes: 100 }, 0, Instant::now()).len(), 2);
        assert_eq!(queue.more(&BatchRoom { events: 9, bytes: 100 }, 0, Instant::now()).len(), 0, "too large for it");
        assert_eq!(taken(&queue, &WIDE), 1);
    }

    #[test]
    fn those_who_are_missing_are_waited_for_until_they_are_there() {
        let queue = queue();
        std::thread::scope(|scope| {
            let more = scope.spawn(|| queue.more(&WIDE, 3, Instant::now() + HOUR).len());
            (0..3).for_each(|_| queue.push(append(1)).expect("there is room"));
            let more = more.join().expect("it ends");
            // One that came before the wait began is not waited with.
            assert!((1..=3).contains(&more), "{more} of 3");
        });
    }

    #[test]
    fn a_closed_queue_serves_who_is_in_it_and_lets_nobody_in() {
        let queue = queue();
        queue.push(append(1)).expect("it is open");
        queue.close();
        assert!(queue.push(append(1)).is_err());
        assert_eq!(taken(&queue, &WIDE), 1);
        assert!(queue.more(&WIDE, 9, Instant::now() + HOUR).is_empty(), "it waited for what cannot come");
        assert!(matches!(queue.take(&WIDE, HOUR, HOUR), Taken::Closed));
    }
}
