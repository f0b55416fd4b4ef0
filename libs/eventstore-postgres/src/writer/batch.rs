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
    /// Whether nothing was tried yet.
    pub(super) fn is_first(&self) -> bool {
        self.jobs.is_empty() && !self.is_careful && self.losses == 0
    }

    /// What to tell everybody, given what an attempt found. An append that finds its own earlier attempt committed is no
    /// repeat of itself.
    pub(super) fn settled(&self, found: &[Outcome]) -> Vec<Outcome> {
        let sent = self.sent.as_deref().unwrap_or_default();
        let settle = |(at, found): (usize, &Outcome)| match (sent.get(at), found) {
            (Some(Outcome::Appended(Ok(first))), Outcome::Appended(Ok(again)))
                if again.is_repeat && (first.position, &first.revisions) == (again.position, &again.revisions) =>
            {
                Outcome::Appended(Ok(first.clone()))
            }
            _ => found.clone(),
        };
        found.iter().enumerate().map(settle).collect()
    }

    pub(super) fn give(self, outcomes: Vec<Outcome>, meters: &Meters) {
        for (job, outcome) in self.jobs.into_iter().zip(outcomes) {
            match (job, outcome) {
                (Job::Append { queued, answer, .. }, Outcome::Appended(outcome)) => {
                    meters.append_seconds.record(queued.elapsed());
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
    use cairn_eventstore::Appended;
    use cairn_kernel::Position;

    use super::*;

    fn appended(position: u64, is_repeat: bool) -> Outcome {
        Outcome::Appended(Ok(Appended { position: Position(position), revisions: vec![], is_repeat }))
    }

    #[test]
    fn an_append_that_turns_out_to_have_been_committed_is_no_repeat_of_itself() {
        for (sent, found, told) in [
            (Some(appended(7, false)), appended(7, true), appended(7, false)),
            (Some(appended(7, false)), appended(5, true), appended(5, true)),
            (Some(appended(7, false)), appended(8, false), appended(8, false)),
            (Some(appended(5, true)), appended(5, true), appended(5, true)),
            (None, appended(7, true), appended(7, true)),
        ] {
            let batch = Batch { sent: sent.map(|outcome| vec![outcome]), ..Batch::default() };
            assert_eq!(batch.settled(&[found]), [told]);
        }
    }
}
