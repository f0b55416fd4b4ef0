use cairn_eventstore::{AppendFault, ReadFault};
use cairn_kernel::Position;

/// Why a log was not carried, or did not arrive as it was.
#[derive(Debug, thiserror::Error)]
pub enum CarryFault {
    #[error("the log that is carried cannot be read: {0}")]
    From(#[source] ReadFault),
    #[error("the log that is carried to cannot be read: {0}")]
    To(#[source] ReadFault),
    #[error("the log that is carried to refused: {0}")]
    Refused(#[from] AppendFault),
    /// What is there is no earlier part of what is carried.
    #[error("the log that is carried to holds something else: its last event, {0}, is not event {0} of the other")]
    OfAnother(Position),
    #[error("event {0} is not the same in both logs")]
    Differs(Position),
    #[error("event {0} has not arrived")]
    Missing(Position),
    #[error("event {0} is in the log that was carried to alone")]
    Added(Position),
}
