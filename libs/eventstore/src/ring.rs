use std::collections::VecDeque;
use std::sync::Arc;

use cairn_kernel::Position;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::{Filter, Page, Recorded};

/// Events looked at per page, so that a reader never holds up the writer for long.
const CONSIDERED_MAX: usize = 2_048;
/// What an event weighs beside payload and metadata.
const EVENT_BYTES: usize = 200;

/// The newest events in memory, so that who follows the log live needs no disk; and the head of the log. For backends.
pub struct Ring {
    recent: RwLock<Recent>,
    head: watch::Sender<Position>,
    events_max: usize,
    bytes_max: usize,
}

/// An event just committed.
pub struct Fresh {
    pub event: Arc<Recorded>,
    /// Its stream does not keep everything, so only the database knows whether it is still shown.
    pub is_retained: bool,
}

/// INVARIANT: `events` are those with the positions up to the head, without gaps.
#[derive(Default)]
struct Recent {
    events: VecDeque<Fresh>,
    bytes: usize,
}

impl Ring {
    /// Empty, of a log that ends at `head`.
    pub fn new(head: Position, events_max: usize, bytes_max: usize) -> Self {
        Self { recent: RwLock::default(), head: watch::Sender::new(head), events_max, bytes_max }
    }

    /// Position of the last event shown.
    pub fn head(&self) -> Position {
        *self.head.borrow()
    }

    /// The head, and notice of each change.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Shows committed events to readers: a stretch of the log without gaps.
    ///
    /// Where several processes write, stretches come from more than one side: what was shown already is left out, and
    /// after a gap what is older is forgotten. A stretch that has gaps itself, being taken over from another log, is not kept.
    pub fn publish(&self, fresh: Vec<Fresh>) {
        let [Some(start), Some(end)] =
            [fresh.first(), fresh.last()].map(|fresh| fresh.map(|fresh| fresh.event.position))
        else {
            return;
        };
        if end.0 - start.0 >= fresh.len() as u64 {
            return self.skip_to(end);
        }
        let mut recent = self.recent.write();
        let head = self.head();
        if end <= head {
            return;
        }
        if start.0 > head.0 + 1 {
            *recent = Recent::default();
        }
        for fresh in fresh.into_iter().filter(|fresh| fresh.event.position > head) {
            recent.bytes += weight(&fresh.event);
            recent.events.push_back(fresh);
        }
        while recent.events.len() > self.events_max || recent.bytes > self.bytes_max {
            let Some(oldest) = recent.events.pop_front() else { break };
            recent.bytes -= weight(&oldest.event);
        }
        // Under the lock: nobody sees an event beyond the head, nor a head whose events are not here.
        self.head.send_replace(end);
    }

    /// Shows that the log has grown by more than is worth keeping here.
    pub fn skip_to(&self, end: Position) {
        let mut recent = self.recent.write();
        if end > self.head() {
            *recent = Recent::default();
            self.head.send_replace(end);
        }
    }

    /// Forgets the events, because what is shown of them has changed.
    pub fn clear(&self) {
        *self.recent.write() = Recent::default();
    }

    /// The wanted events after `from`; `None` if the database must be asked.
    pub fn page(&self, from: Position, filter: &Filter, limit: usize) -> Option<Page> {
        let recent = self.recent.read();
        let head = self.head();
        if from >= head {
            return Some(Page { events: vec![], considered: from, is_end: true });
        }
        let first = recent.events.front()?.event.position;
        let skipped = usize::try_from((from.0 + 1).checked_sub(first.0)?).ok()?;
        let mut page = Page { events: vec![], considered: from, is_end: false };
        for fresh in recent.events.range(skipped..).take(CONSIDERED_MAX) {
            if fresh.is_retained {
                return None;
            }
            if page.events.len() >= limit {
                break;
            }
            page.considered = fresh.event.position;
            if filter.wants(fresh.event.stream.category(), &fresh.event.kind) {
                page.events.push(Arc::clone(&fresh.event));
            }
        }
        page.is_end = page.considered == head;
        Some(page)
    }
}

fn weight(event: &Recorded) -> usize {
    event.payload.len() + event.metadata.len() + EVENT_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cairn_kernel::{Revision, StreamName, Time};
    use uuid::Uuid;

    use super::*;

    fn fresh(position: u64, bytes: usize) -> Fresh {
        let event = Recorded {
            id: Uuid::from_u128(u128::from(position)),
            stream: StreamName::of("t", "1"),
            kind: "t.X".into(),
            revision: Revision(position),
            position: Position(position),
            time: Time::default(),
            payload: vec![0; bytes].into(),
            metadata: Bytes::new(),
        };
        Fresh { event: Arc::new(event), is_retained: false }
    }

    fn positions(page: Option<Page>) -> Option<(Vec<u64>, bool)> {
        page.map(|page| (page.events.iter().map(|event| event.position.0).collect(), page.is_end))
    }

    #[test]
    fn only_recent_positions_are_served_from_memory() {
        let ring = Ring::new(Position(10), 3, 1 << 20);
        assert_eq!(positions(ring.page(Position(10), &Filter::all(), 9)), Some((vec![], true)));
        assert_eq!(positions(ring.page(Position(9), &Filter::all(), 9)), None);
        ring.publish((11..=15).map(|position| fresh(position, 0)).collect());
        assert_eq!(ring.head(), Position(15));
        assert_eq!(positions(ring.page(Position(11), &Filter::all(), 9)), None);
        assert_eq!(positions(ring.page(Position(12), &Filter::all(), 9)), Some((vec![13, 14, 15], true)));
        assert_eq!(positions(ring.page(Position(12), &Filter::all(), 2)), Some((vec![13, 14], false)));
        assert_eq!(positions(ring.page(Position(12), &Filter::categories(["other"]), 9)), Some((vec![], true)));
    }

    #[test]
    fn stretches_of_several_writers_are_shown_once_and_in_order() {
        let ring = Ring::new(Position(10), 9, 1 << 20);
        let stretch = |positions: std::ops::RangeInclusive<u64>| positions.map(|position| fresh(position, 0)).collect();
        ring.publish(stretch(11..=12));
        ring.publish(stretch(11..=13));
        ring.publish(stretch(12..=12));
        assert_eq!(positions(ring.page(Position(10), &Filter::all(), 9)), Some((vec![11, 12, 13], true)));
        ring.publish(stretch(16..=17));
        assert_eq!(positions(ring.page(Position(13), &Filter::all(), 9)), None, "14 and 15 are not here");
        assert_eq!(positions(ring.page(Position(15), &Filter::all(), 9)), Some((vec![16, 17], true)));
        ring.publish(stretch(14..=15));
        ring.skip_to(Position(16));
        assert_eq!(ring.head(), Position(17));
        ring.skip_to(Position(99));
        assert_eq!((ring.head(), positions(ring.page(Position(17), &Filter::all(), 9))), (Position(99), None));
    }

    #[test]
    fn large_events_push_others_out() {
        let ring = Ring::new(Position(0), 100, 3_000);
        ring.publish(vec![fresh(1, 1_000), fresh(2, 1_000), fresh(3, 1_000)]);
        assert_eq!(positions(ring.page(Position(0), &Filter::all(), 9)), None);
        assert_eq!(positions(ring.page(Position(1), &Filter::all(), 9)), Some((vec![2, 3], true)));
    }

    #[test]
    fn events_of_streams_that_forget_are_left_to_the_database() {
        let ring = Ring::new(Position(0), 100, 1 << 20);
        ring.publish(vec![fresh(1, 0), Fresh { is_retained: true, ..fresh(2, 0) }, fresh(3, 0)]);
        assert_eq!(positions(ring.page(Position(0), &Filter::all(), 9)), None);
        assert_eq!(positions(ring.page(Position(2), &Filter::all(), 9)), Some((vec![3], true)));
    }
}
