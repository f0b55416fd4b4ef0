use cairn_eventstore::{AppendFault, CommandFault, ReadFault};
use cairn_ingest_queue::Lease;
use cairn_kernel::{Expected, Position, Revision};
use tokio::time::sleep;
use tracing::warn;

use super::process::Lost;
use super::{Envelope, PAUSES};
use crate::app::App;
use crate::model::run::Rejection;

/// What became of a batch.
pub(super) enum Carried {
    /// It is in the log, at this position or before.
    Logged(Position),
    /// It can never be.
    Never { reason: &'static str, why: String },
}

/// What to do about a failure.
enum Remedy {
    /// Somebody else changed the run: look again.
    Again,
    Later,
    Never(&'static str),
}

/// Logs a batch, however long that takes, unless it can never be logged or the partition is somebody else's.
///
/// INVARIANT: batches of one run are logged in the order in which they were queued. A processor that was stopped between
/// finding that it holds the partition and appending appends late, and another may have gone on meanwhile. So each append says
/// which event of the run it follows: if another has logged anything of the run since, it fails, and the lease is looked at
/// again; if nobody has, this batch is the next one, whoever appends it.
pub(super) async fn carry(
    app: &App,
    lease: &Lease,
    envelope: &Envelope,
    revision: &mut Option<Revision>,
) -> Result<Carried, Lost> {
    let (mut pause, mut is_told) = (PAUSES.0, false);
    loop {
        if !lease.holds() {
            return Err(Lost);
        }
        let fault = match attempt(app, envelope, *revision).await {
            Ok((position, now)) => {
                *revision = now;
                return Ok(Carried::Logged(position));
            }
            Err(fault) => fault,
        };
        *revision = None;
        match remedy(&fault) {
            Remedy::Never(reason) => return Ok(Carried::Never { reason, why: fault.to_string() }),
            Remedy::Again => {}
            // Whoever takes over tries as well.
            Remedy::Later if lease.is_ending() => return Err(Lost),
            Remedy::Later => {
                if !is_told {
                    warn!(run = %envelope.run, %fault, "a queued batch cannot be logged now, and it is tried again");
                }
                is_told = true;
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

async fn attempt(
    app: &App,
    envelope: &Envelope,
    revision: Option<Revision>,
) -> Result<(Position, Option<Revision>), CommandFault<Rejection>> {
    let expected = match revision {
        Some(revision) => Some(revision),
        None => app.run_revision(&envelope.run).await?,
    };
    // A run that is not there has no event to follow, and the rules say so.
    let expected = expected.map_or(Expected::Any, Expected::Exactly);
    let done = app.log_queued(envelope, expected).await?;
    Ok((done.position, done.revision))
}

fn remedy(fault: &CommandFault<Rejection>) -> Remedy {
    match fault {
        CommandFault::Rejected(_) => Remedy::Never("rejected"),
        CommandFault::RequestReused { .. } => Remedy::Never("conflict"),
        CommandFault::Decode(_) => Remedy::Never("run_unreadable"),
        CommandFault::Read(ReadFault::Damaged(_)) | CommandFault::Append(AppendFault::Damaged(_)) => {
            Remedy::Never("run_damaged")
        }
        CommandFault::Append(AppendFault::Invalid(_)) => Remedy::Never("refused"),
        CommandFault::Stale { .. } => Remedy::Again,
        CommandFault::Contended { .. } | CommandFault::Read(_) | CommandFault::Append(_) => Remedy::Later,
    }
}
