use cairn_eventstore::Carried;
use cairn_kernel::Position;

use crate::CarryFault;

/// Events carried at once.
pub(crate) const BATCH: usize = 4_096;

/// How far a log has been carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last event that has arrived.
    pub reached: Position,
    /// Where the log ended when last looked at.
    pub end: Position,
}

/// Carries what is not there yet, and how much of each stream is kept. Broken off, it goes on where it was when called again.
///
/// A log that grows meanwhile is followed until its end is met. Gives that end.
pub async fn carry(
    from: &dyn Carried,
    to: &dyn Carried,
    mut tell: impl FnMut(Progress),
) -> Result<Position, CarryFault> {
    let mut reached = to.end().await.map_err(CarryFault::To)?;
    is_beginning(from, to, reached).await?;
    loop {
        let end = from.end().await.map_err(CarryFault::From)?;
        tell(Progress { reached, end });
        let events = from.held(reached, BATCH).await.map_err(CarryFault::From)?;
        let Some(last) = events.last().map(|last| last.position) else { break };
        to.take_over(events).await?;
        reached = last;
    }
    // Last of all: what is no longer to be kept must not be removed from under what comes after it.
    for (stream, retention) in from.retentions().await.map_err(CarryFault::From)? {
        to.take_over_retention(&stream, retention).await?;
    }
    Ok(reached)
}

/// Whether what is in `to` up to its end is the beginning of `from`, by its last event: all of it is compared at the end.
async fn is_beginning(from: &dyn Carried, to: &dyn Carried, end: Position) -> Result<(), CarryFault> {
    let Some(before) = end.0.checked_sub(1).map(Position) else { return Ok(()) };
    let theirs = to.held(before, 1).await.map_err(CarryFault::To)?;
    let ours = from.held(before, 1).await.map_err(CarryFault::From)?;
    if ours != theirs { Err(CarryFault::OfAnother(end)) } else { Ok(()) }
}
