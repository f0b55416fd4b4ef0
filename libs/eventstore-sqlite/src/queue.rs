use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cairn_eventstore::{AppendFault, Appended, Retention, Write};
use cairn_kernel::StreamName;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::meters::Meters;

/// How long a caller is asked to wait when there is no room: some commits' time.
const RETRY_AFTER: Duration = Duration::from_millis(25);

pub(crate) type Answer = oneshot::Sender<Result<Appended, AppendFault>>;

/// Something for the writer to do.
pub(crate) enum Job {
    Append { writes: Vec<Write>, events: usize, bytes: usize, queued: Instant, answer: Answer },
    Retain { stream: StreamName, retention: Retention, answer: oneshot::Sender<Result<(), AppendFault>> },
}

impl Job {
    pub(crate) fn events(&self) -> usize {
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

/// What goes into one batch at most. One append is never split.
pub(crate) struct BatchLimits {
    pub(crate) events_max: usize,
    pub(crate) bytes_max: usize,
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
    /// Those who were answered last are likely to come again at once: `expected` of them are given `grace` to do so, or
    /// each batch would hold only the quickest of many clients. One client alone never waits for others.
    pub(crate) fn take(&self, limits: &BatchLimits, expected: usize, grace: Duration, patience: Duration) -> Taken {
        let mut line = self.line.lock();
        let deadline = Instant::now() + patience;
        line.wanted = 1;
        while line.jobs.is_empty() && line.closed.is_none() && !line.is_poked {
            if self.arrived.wait_until(&mut line, deadline).timed_out() {
                break;
            }
        }
        let deadline = Instant::now() + grace;
        line.wanted = expected;
        while !line.jobs.is_empty() && line.jobs.len() < expected && line.closed.is_none() {
            if self.arrived.wait_until(&mut line, deadline).timed_out() {
                break;
            }
        }
        line.wanted = 0;
        line.is_poked = false;
        if line.jobs.is_empty() {
            return if line.closed.is_some() { Taken::Closed } else { Taken::Nothing };
        }
        let (mut events, mut bytes, mut count) = (0, 0, 0);
        for job in &line.jobs {
            (events, bytes) = (events + job.events(), bytes + job.bytes());
            if count > 0 && (events > limits.events_max || bytes > limits.bytes_max) {
                break;
            }
            count += 1;
        }
        self.meters.waiting_appends.set(line.appends as f64);
        self.meters.waiting_bytes.set(line.bytes as f64);
        Taken::Jobs(line.jobs.drain(..count).collect())
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
