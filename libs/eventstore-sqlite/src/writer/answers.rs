use std::time::Instant;

use cairn_eventstore::{AppendFault, Appended};
use tokio::sync::oneshot;

use crate::meters::Meters;
use crate::queue::{Answer, Job};

/// What came of storing how much of a stream is kept, or of taking over events.
type Stored = Result<(), AppendFault>;

/// What the callers of one batch will be told, once it is durable.
#[derive(Default)]
pub(super) struct Answers {
    appends: Vec<(Result<Appended, AppendFault>, Instant, Answer)>,
    retains: Vec<(Stored, oneshot::Sender<Stored>)>,
    taken_over: Vec<(Stored, oneshot::Sender<Stored>)>,
    followed: Vec<(u64, oneshot::Sender<Result<u64, AppendFault>>)>,
    unreached: Vec<Job>,
    /// Bytes of all of them, as the queue counted them.
    bytes: usize,
}

impl Answers {
    pub(super) fn append(
        &mut self,
        outcome: Result<Appended, AppendFault>,
        bytes: usize,
        queued: Instant,
        answer: Answer,
    ) {
        self.bytes += bytes;
        self.appends.push((outcome, queued, answer));
    }

    pub(super) fn retain(&mut self, outcome: Stored, answer: oneshot::Sender<Stored>) {
        self.retains.push((outcome, answer));
    }

    pub(super) fn take_over(&mut self, outcome: Stored, bytes: usize, answer: oneshot::Sender<Stored>) {
        self.bytes += bytes;
        self.taken_over.push((outcome, answer));
    }

    /// So many entries of the primary log are here, whatever becomes of the batch.
    pub(super) fn follow(&mut self, held: u64, bytes: usize, answer: oneshot::Sender<Result<u64, AppendFault>>) {
        self.bytes += bytes;
        self.followed.push((held, answer));
    }

    /// A job the batch did not get to.
    pub(super) fn wait(&mut self, job: Job) {
        self.bytes += job.bytes();
        self.unreached.push(job);
    }

    /// How many stand in the queue's account.
    pub(super) fn jobs(&self) -> usize {
        self.appends.len() + self.retains.len() + self.taken_over.len() + self.followed.len() + self.unreached.len()
    }

    /// Bytes that stand in the queue's account.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_retention_changed(&self) -> bool {
        !self.retains.is_empty()
    }

    pub(super) fn give(self, meters: &Meters) {
        for (outcome, queued, answer) in self.appends {
            meters.append_seconds.record(queued.elapsed());
            // A caller that no longer waits needs no answer.
            let _ = answer.send(outcome);
        }
        for (outcome, answer) in self.retains.into_iter().chain(self.taken_over) {
            let _ = answer.send(outcome);
        }
        for (held, answer) in self.followed {
            let _ = answer.send(Ok(held));
        }
    }

    /// The batch is not in the log: everybody hears why, also those that would have been refused anyway, since that was
    /// judged beside neighbours that are gone.
    pub(super) fn refuse(self, fault: &AppendFault, meters: &Meters) {
        let refused = match fault {
            AppendFault::StorageFull => &meters.refused_storage,
            _ => &meters.refused_other,
        };
        refused.increment((self.appends.len() + self.unreached.len()) as u64);
        for (_, _, answer) in self.appends {
            let _ = answer.send(Err(fault.clone()));
        }
        for (_, answer) in self.retains.into_iter().chain(self.taken_over) {
            let _ = answer.send(Err(fault.clone()));
        }
        for (held, answer) in self.followed {
            let _ = answer.send(Ok(held));
        }
        for job in self.unreached {
            job.refuse(fault.clone());
        }
    }
}
