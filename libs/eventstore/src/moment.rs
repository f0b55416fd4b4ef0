use cairn_kernel::{AsOf, Position, Time};

use crate::{Direction, EventStore, Filter, ReadFault};

/// A moment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The last event it includes.
    pub position: Position,
    /// What the clock showed: the time asked for, or that of the last event.
    pub time: Time,
}

/// The moment that a reader wants to see. `None`: the log does not reach that far.
///
/// Events have times in the order of their positions, so a time is found by halving the log: some twenty events are read,
/// however long it is.
pub async fn moment(store: &dyn EventStore, as_of: AsOf) -> Result<Option<Moment>, ReadFault> {
    let head = *store.head().borrow();
    match as_of {
        AsOf::Position(position) if position > head => Ok(None),
        AsOf::Position(position) => {
            // An event that retention has removed has no time any more; the one before it is near enough.
            let after = Position(position.0.saturating_add(1));
            let last = store.read_all(after, Direction::Backwards, &Filter::all(), 1).await?;
            let time = last.events.first().map_or(Time::default(), |event| event.time);
            Ok(Some(Moment { position, time }))
        }
        AsOf::Time(time) => Ok(Some(Moment { position: last_until(store, head, time).await?, time })),
    }
}

/// The last position whose event was recorded at or before a time.
async fn last_until(store: &dyn EventStore, head: Position, time: Time) -> Result<Position, ReadFault> {
    // INVARIANT: the event at `from` is not after the time, and none after `to` is not.
    let (mut from, mut to) = (Position::START, head);
    while from < to {
        let middle = Position(from.0 + (to.0 - from.0) / 2);
        let page = store.read_all(middle, Direction::Forwards, &Filter::all(), 1).await?;
        match page.events.first() {
            Some(event) if event.position <= to && event.time <= time => from = event.position,
            _ => to = middle,
        }
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use cairn_kernel::{Expected, SimClock, StreamName};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{Memory, NewEvent, Write};

    proptest! {
        #[test]
        fn a_time_is_the_last_position_not_after_it(pauses in prop::collection::vec(0..3u64, 0..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let clock = SimClock::at(Time::from_millis(1000));
                let store = Memory::with_clock(Arc::new(clock.clone()));
                let mut times: Vec<u64> = vec![];
                for pause in pauses {
                    clock.advance(Duration::from_millis(pause));
                    let event = NewEvent {
                        id: Uuid::new_v4(),
                        kind: "test.Said".into(),
                        payload: Default::default(),
                        metadata: Default::default(),
                    };
                    let write = Write::new(StreamName::stored("test-a"), Expected::Any, vec![event]);
                    store.append(vec![write]).await.unwrap();
                    times.push(times.last().unwrap_or(&1000) + pause);
                }
                for millis in 998..1130u64 {
                    let expected = times.iter().filter(|time| **time <= millis).count() as u64;
                    let time = Time::from_millis(millis as i64);
                    let found = moment(&store, AsOf::Time(time)).await.unwrap().unwrap();
                    assert_eq!(found, Moment { position: Position(expected), time });
                }
                for (at, time) in (1..).zip(&times) {
                    let found = moment(&store, AsOf::Position(Position(at))).await.unwrap().unwrap();
                    assert_eq!(found, Moment { position: Position(at), time: Time::from_millis(*time as i64) });
                }
                let beyond = AsOf::Position(Position(times.len() as u64 + 1));
                assert_eq!(moment(&store, beyond).await.unwrap(), None);
            });
        }
    }
}
