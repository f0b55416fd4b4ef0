use cairn_eventstore::{Direction, EventStore, Filter, ReadFault};
use cairn_kernel::Position;

use crate::catalog::Checkpoint;

/// Whether the log is the one that a view has followed so far; otherwise why not.
///
/// A log restored from a backup can be shorter than the view, or have grown past it with other events.
pub(crate) async fn divergence(store: &dyn EventStore, checkpoint: &Checkpoint) -> Result<Option<String>, ReadFault> {
    let head = *store.head().borrow();
    if checkpoint.position > head {
        return Ok(Some(format!("the view is at position {} and the log ends at {head}", checkpoint.position)));
    }
    let Some((position, id)) = checkpoint.last else {
        return Ok(None);
    };
    let before = Position(position.0.saturating_sub(1));
    let page = store.read_all(before, Direction::Forwards, &Filter::all(), 1).await?;
    // An event that retention has removed says nothing.
    let found = page.events.first().filter(|event| event.position == position);
    Ok(found
        .filter(|event| event.id != id)
        .map(|event| format!("the event at position {position} was {id} and is {} now", event.id)))
}
