use std::sync::Arc;

use cairn_eventstore::{Direction, EventStore, Filter, ReadFault, Recorded};
use cairn_kernel::Position;
use futures::{StreamExt, TryStreamExt, stream};

/// Stretches of the log read at once.
const READS_AT_ONCE: usize = 8;

/// The events at some positions, in the order given. What retention has removed is left out.
pub async fn events_at(store: &Arc<dyn EventStore>, positions: &[Position]) -> Result<Vec<Arc<Recorded>>, ReadFault> {
    let reads = stretches(positions).into_iter().map(|(first, count)| {
        let store = Arc::clone(store);
        async move {
            let before = Position(first.0.saturating_sub(1));
            store.read_all(before, Direction::Forwards, &Filter::all(), count).await
        }
    });
    let pages: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    let mut events: Vec<_> = pages.into_iter().flat_map(|page| page.events).collect();
    events.sort_by_key(|event| event.position);
    let at = |position: &Position| events.binary_search_by_key(position, |event| event.position).ok();
    Ok(positions.iter().filter_map(at).map(|at| Arc::clone(&events[at])).collect())
}

/// Neighbouring positions together: where each stretch begins, and how long it is.
fn stretches(positions: &[Position]) -> Vec<(Position, usize)> {
    let mut sorted = positions.to_vec();
    sorted.sort_unstable();
    let mut stretches: Vec<(Position, usize)> = vec![];
    for position in sorted {
        match stretches.last_mut() {
            Some((first, count)) if first.0 + *count as u64 == position.0 => *count += 1,
            _ => stretches.push((position, 1)),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_together() {
        let positions = [9, 8, 7, 3, 1].map(Position);
        assert_eq!(stretches(&positions), [(Position(1), 1), (Position(3), 1), (Position(7), 3)]);
        assert_eq!(stretches(&[]), []);
    }
}
