use std::sync::Arc;

use cairn_eventstore::{Direction, EventStore, Filter, ReadFault, Recorded};
use cairn_kernel::Position;
use futures::{StreamExt, TryStreamExt, stream};

/// Stretches of the log read at once.
const READS_AT_ONCE: usize = 8;
/// Positions looked up before it is seen how large their events are.
const POSITIONS_AT_ONCE: usize = 64;

/// Events found at some positions.
#[derive(Debug, Default)]
pub struct Read {
    pub events: Vec<Arc<Recorded>>,
    /// How many of the positions were looked at, from the first.
    pub positions: usize,
}

/// The events at some positions, in the order given, until they come to `bytes_max`; at least one. What retention has
/// removed is left out.
pub async fn events_at(
    store: &Arc<dyn EventStore>,
    positions: &[Position],
    bytes_max: usize,
) -> Result<Read, ReadFault> {
    let (mut read, mut bytes) = (Read::default(), 0);
    for part in positions.chunks(POSITIONS_AT_ONCE) {
        let mut found = found_at(store, part).await?.into_iter().peekable();
        for position in part {
            let event = found.next_if(|event| event.position == *position);
            let size = event.as_ref().map_or(0, |event| event.payload.len() + event.metadata.len());
            if bytes + size > bytes_max && !read.events.is_empty() {
                return Ok(read);
            }
            bytes += size;
            read.events.extend(event);
            read.positions += 1;
        }
    }
    Ok(read)
}

/// The events at a few positions, in the order given.
async fn found_at(store: &Arc<dyn EventStore>, positions: &[Position]) -> Result<Vec<Arc<Recorded>>, ReadFault> {
    let reads = stretches(positions).into_iter().map(|(first, count)| stretch(Arc::clone(store), first, count));
    let found: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    let mut events: Vec<_> = found.into_iter().flatten().collect();
    events.sort_by_key(|event| event.position);
    let at = |position: &Position| events.binary_search_by_key(position, |event| event.position).ok();
    Ok(positions.iter().filter_map(at).map(|at| Arc::clone(&events[at])).collect())
}

/// What there is at neighbouring positions. A store ends a page where it likes, so this goes on to the last of them.
async fn stretch(store: Arc<dyn EventStore>, first: Position, count: usize) -> Result<Vec<Arc<Recorded>>, ReadFault> {
    let last = Position(first.0 + count as u64 - 1);
    let mut before = Position(first.0.saturating_sub(1));
    let mut events = vec![];
    while before < last {
        let left = usize::try_from(last.0 - before.0).unwrap_or(count);
        let page = store.read_all(before, Direction::Forwards, &Filter::all(), left).await?;
        events.extend(page.events.into_iter().filter(|event| event.position <= last));
        if page.is_end {
            break;
        }
        before = page.considered;
    }
    Ok(events)
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
    use async_trait::async_trait;
    use cairn_eventstore::{AppendFault, Appending, Memory, NewEvent, Page, Retention, Snapshot, Write};
    use cairn_kernel::{Expected, Revision, StreamName};
    use tokio::sync::watch;
    use uuid::Uuid;

    use super::*;

    /// A store that ends its pages early, as one does when events are large.
    struct Short(Memory);

    const PAGE: usize = 3;

    #[async_trait]
    impl EventStore for Short {
        fn append(&self, writes: Vec<Write>) -> Appending {
            self.0.append(writes)
        }

        async fn read(
            &self,
            stream: &StreamName,
            from: Revision,
            direction: Direction,
            limit: usize,
        ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
            self.0.read(stream, from, direction, limit).await
        }

        async fn read_all(
            &self,
            from: Position,
            direction: Direction,
            filter: &Filter,
            limit: usize,
        ) -> Result<Page, ReadFault> {
            self.0.read_all(from, direction, filter, limit.min(PAGE)).await
        }

        async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
            self.0.find(id).await
        }

        fn head(&self) -> watch::Receiver<Position> {
            self.0.head()
        }

        async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
            self.0.retain(stream, retention).await
        }

        async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
            self.0.snapshot(stream).await
        }

        async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
            self.0.keep_snapshot(stream, snapshot).await;
        }

        fn trouble(&self) -> Option<AppendFault> {
            self.0.trouble()
        }
    }

    async fn store(sizes: &[usize]) -> Arc<dyn EventStore> {
        let memory = Memory::new();
        let events = sizes.iter().map(|size| NewEvent {
            id: Uuid::new_v4(),
            kind: "test.Said".into(),
            payload: vec![7; *size].into(),
            metadata: Default::default(),
        });
        let write = Write::new(StreamName::stored("words-a"), Expected::Any, events.collect());
        memory.append(vec![write]).await.unwrap();
        Arc::new(Short(memory))
    }

    #[tokio::test]
    async fn a_page_that_the_store_ends_early_loses_nothing() {
        let store = store(&[1; 200]).await;
        for positions in [(1..=200).collect::<Vec<u64>>(), (1..=200).rev().collect(), (3..180).step_by(2).collect()] {
            let positions: Vec<_> = positions.into_iter().map(Position).collect();
            let read = events_at(&store, &positions, usize::MAX).await.unwrap();
            assert_eq!(read.events.iter().map(|event| event.position).collect::<Vec<_>>(), positions);
            assert_eq!(read.positions, positions.len());
        }
    }

    #[tokio::test]
    async fn large_events_end_a_page_early_but_there_is_always_one() {
        let store = store(&[10, 10, 90, 10, 500, 10]).await;
        let positions: Vec<_> = (1..=6).map(Position).collect();
        let (mut rest, mut pages) = (&positions[..], vec![]);
        while !rest.is_empty() {
            let read = events_at(&store, rest, 100).await.unwrap();
            pages.push(read.events.len());
            rest = &rest[read.positions..];
        }
        assert_eq!(pages, [2, 2, 1, 1]);
    }

    #[test]
    fn neighbours_are_read_together() {
        let positions = [9, 8, 7, 3, 1].map(Position);
        assert_eq!(stretches(&positions), [(Position(1), 1), (Position(3), 1), (Position(7), 3)]);
        assert_eq!(stretches(&[]), []);
    }
}
