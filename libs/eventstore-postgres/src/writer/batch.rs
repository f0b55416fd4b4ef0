use cairn_eventstore::AppendFault;

use crate::meters::Meters;
use crate::plan::{Outcome, Wish};
use crate::queue::Job;

/// Those who are served together, and what is known of earlier attempts to do so.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    /// Whether every event is looked for before it is inserted.
    pub(super) is_careful: bool,
    /// How often the connection was lost.
    pub(super) losses: usize,
    /// What everybody was to be told by a commit that was sent and never answered: it may have happened.
    pub(super) sent: Option<Vec<Outcome>>,
}

pub(super) fn wish(job: &Job) -> Wish<'_> {
    match job {
        Job::Append { writes, .. } => Wish::Append(writes),
        Job::Retain { stream, retention, .. } => Wish::Retain(stream, *retention),
    }
}

impl Batch {
    pub(super) fn give(self, outcomes: Vec<Outcome>, meters: &Meters) {
        let sent = self.sent.unwrap_or_default();
        for (at, (job, outcome)) in self.jobs.into_iter().zip(outcomes).enumerate() {
            match (job, outcome) {
                (Job::Append { queued, answer, .. }, Outcome::Appended(outcome)) => {
                    meters.append_seconds.record(queued.elapsed());
                    let outcome = match (sent.get(at), outcome) {
                        // Its own earlier attempt is what it repeats.
                        (Some(Outcome::Appended(Ok(first))), Ok(again))
                            if again.is_repeat
                                && (first.position, &first.revisions) == (again.position, &again.revisions) =>
                        {
                            Ok(first.clone())
                        }
                        (_, outcome) => outcome,
                    };
                    // A caller that no longer waits needs no answer.
                    drop(answer.send(outcome));
                }
                (Job::Retain { answer, .. }, Outcome::Retained) => drop(answer.send(Ok(()))),
                (job, _) => {
                    debug_assert!(false, "an outcome of another sort than its wish");
                    job.refuse(AppendFault::Unavailable("it was not answered".to_owned()));
                }
            }
        }
    }

    /// Also for those that would have been refused anyway, since that was judged beside neighbours that are gone.
    pub(super) fn refuse(self, fault: &AppendFault) {
        let fault = match fault {
            AppendFault::Unavailable(why) if self.sent.is_some() => AppendFault::Unavailable(format!(
                "{why}; whether the events were committed is unknown, repeat with the same ids"
            )),
            fault => fault.clone(),
        };
        for job in self.jobs {
            job.refuse(fault.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use cairn_eventstore::Appended;
    use cairn_kernel::Position;
    use tokio::sync::oneshot;

    use super::*;

    fn appended(position: u64, is_repeat: bool) -> Outcome {
        Outcome::Appended(Ok(Appended { position: Position(position), revisions: vec![], is_repeat }))
    }

    #[test]
    fn an_append_that_turns_out_to_have_been_committed_is_no_repeat_of_itself() {
        for (sent, found, is_repeat) in [
            (Some(appended(7, false)), appended(7, true), false),
            (Some(appended(7, false)), appended(5, true), true),
            (Some(appended(5, true)), appended(5, true), true),
            (None, appended(7, true), true),
        ] {
            let (answer, mut answered) = oneshot::channel();
            let job = Job::Append { writes: vec![], events: 0, bytes: 0, queued: Instant::now(), answer };
            let batch = Batch { jobs: vec![job], sent: sent.map(|outcome| vec![outcome]), ..Batch::default() };
            batch.give(vec![found], &Meters::new());
            let told = answered.try_recv().expect("it is answered").expect("it is in the log");
            assert_eq!(told.is_repeat, is_repeat, "{told:?}");
        }
    }
}
