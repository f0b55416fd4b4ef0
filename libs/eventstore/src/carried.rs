use std::sync::Arc;

use async_trait::async_trait;
use cairn_kernel::{Position, Revision, StreamName, Time};

use crate::{AppendFault, ReadFault, Recorded, Retention};

/// A log that can be carried to another engine as it is: events with their positions, revisions, ids, times and bytes.
///
/// Not part of [`EventStore`](crate::EventStore), because nothing that serves requests writes history.
#[async_trait]
pub trait Carried: Send + Sync {
    /// Where the log ends.
    async fn end(&self) -> Result<Position, ReadFault>;

    /// Events after a position as they are kept, shown or not, at most `limit` of them. None: the log ends there.
    async fn held(&self, after: Position, limit: usize) -> Result<Vec<Arc<Recorded>>, ReadFault>;

    /// The streams that do not keep everything.
    async fn retentions(&self) -> Result<Vec<(StreamName, Retention)>, ReadFault>;

    /// Takes over events of another log that come after all that are here: all of them, or none.
    async fn take_over(&self, events: Vec<Arc<Recorded>>) -> Result<(), AppendFault>;

    /// Takes over how much of a stream is kept.
    async fn take_over_retention(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault>;
}

/// Refuses an event of another log that cannot come after `last`, the last of its stream, in a log that ends like this.
///
/// Positions and revisions may leave some out: those of events that were no longer to be kept.
pub fn check_next(
    event: &Recorded,
    (position, time): (Position, Time),
    last: Option<Revision>,
) -> Result<(), AppendFault> {
    let Recorded { stream, revision, .. } = event;
    let what = match last {
        _ if event.position <= position => format!("the log has reached {position}"),
        _ if event.time < time => "the log's last event is of a later time".to_owned(),
        Some(last) if *revision <= last => {
            format!("{stream} has reached revision {last}, and it is revision {revision}")
        }
        _ => return Ok(()),
    };
    Err(AppendFault::Invalid(format!("event {} cannot be taken over: {what}", event.position)))
}
