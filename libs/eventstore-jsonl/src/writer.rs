//! The one thread that writes: takes everybody who waits, writes and syncs their lines at once, then shows and answers.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use cairn_eventstore::{AppendFault, Appended, Log, Retention, Write};
use cairn_kernel::{Clock, StreamName};
use tokio::sync::oneshot;
use tracing::error;

use crate::file::{AddFault, LogFile};
use crate::line::{Line, Readable};
use crate::store::Shared;

/// What somebody waits for.
pub(crate) enum Job {
    Append { writes: Vec<Write>, bytes: usize, answer: oneshot::Sender<Result<Appended, AppendFault>> },
    Retain { stream: StreamName, retention: Retention, answer: oneshot::Sender<Result<(), AppendFault>> },
}

/// What is answered once the lines are synced.
enum Answer {
    Appended(oneshot::Sender<Result<Appended, AppendFault>>, Result<Appended, AppendFault>),
    Retained(oneshot::Sender<Result<(), AppendFault>>),
}

pub(crate) struct Writer {
    pub file: LogFile,
    /// The log with what is being written: readers see it only once it is synced.
    pub ahead: Log,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
    pub readable: Readable,
    pub bytes_max: u64,
    pub batch_max: usize,
}

impl Writer {
    /// Goes on until nobody can append any more.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        self.mind_size();
        while let Ok(first) = jobs.recv() {
            let batch = std::iter::once(first).chain(jobs.try_iter().take(self.batch_max - 1)).collect();
            self.write(batch);
        }
    }

    fn write(&mut self, jobs: Vec<Job>) {
        if let Some(trouble) = self.shared.trouble() {
            return jobs.into_iter().for_each(|job| self.refuse(job, &trouble));
        }
        let (mut text, mut answers, mut retained) = (vec![], Vec::with_capacity(jobs.len()), vec![]);
        let since = self.file.lines;
        let mut line = since;
        for job in jobs {
            match job {
                Job::Append { writes, bytes, answer } => {
                    self.shared.leave(bytes);
                    let before = self.ahead.head();
                    let outcome = self.ahead.append(writes, self.clock.now());
                    let events = self.ahead.after(before);
                    if !events.is_empty() {
                        Line::of_events(line, since, events, &self.readable).write(&mut text);
                        line += 1;
                    }
                    answers.push(Answer::Appended(answer, outcome));
                }
                Job::Retain { stream, retention, answer } => {
                    self.ahead.retain(&stream, retention);
                    Line::of_retention(line, since, &stream, retention).write(&mut text);
                    line += 1;
                    retained.push((stream, retention));
                    answers.push(Answer::Retained(answer));
                }
            }
        }
        let written = if text.is_empty() { Ok(()) } else { self.file.add(&text, line - since) };
        match written {
            Ok(()) => {
                self.shared.show(&self.ahead, retained);
                self.mind_size();
                answers.into_iter().for_each(Answer::give);
            }
            Err(fault) => {
                let trouble = self.failed(fault);
                answers.into_iter().for_each(|answer| answer.refuse(&trouble));
            }
        }
    }

    /// Takes no more once the file is as large as it may be. What is written stays, and is read.
    fn mind_size(&self) {
        if self.file.bytes >= self.bytes_max && self.shared.trouble().is_none() {
            error!(
                bytes = self.file.bytes,
                "the event log has reached events_jsonl.bytes_max: nothing more is appended"
            );
            self.shared.fail(AppendFault::StorageFull);
        }
    }

    /// Takes back what was not written. Gives what those are told who waited for it.
    fn failed(&mut self, fault: AddFault) -> AppendFault {
        match fault {
            AddFault::Refused(fault) => {
                error!(%fault, "the event log was not written");
                self.ahead = self.shared.shown();
                match fault.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => AppendFault::StorageFull,
                    _ => AppendFault::Unavailable(fault.to_string()),
                }
            }
            AddFault::Lost(fault) => {
                error!(%fault, "what the event log holds is unknown until it is opened again");
                let trouble = AppendFault::Unavailable(format!("its disk failed ({fault}): start again"));
                self.shared.fail(trouble.clone());
                trouble
            }
        }
    }

    fn refuse(&self, job: Job, trouble: &AppendFault) {
        match job {
            Job::Append { bytes, answer, .. } => {
                self.shared.leave(bytes);
                drop(answer.send(Err(trouble.clone())));
            }
            Job::Retain { answer, .. } => drop(answer.send(Err(trouble.clone()))),
        }
    }
}

impl Answer {
    // Whoever no longer listens finds it in the log.
    fn give(self) {
        match self {
            Self::Appended(answer, outcome) => drop(answer.send(outcome)),
            Self::Retained(answer) => drop(answer.send(Ok(()))),
        }
    }

    /// Also for those who were refused: what they were refused for was not written either.
    fn refuse(self, trouble: &AppendFault) {
        match self {
            Self::Appended(answer, _) => drop(answer.send(Err(trouble.clone()))),
            Self::Retained(answer) => drop(answer.send(Err(trouble.clone()))),
        }
    }
}
