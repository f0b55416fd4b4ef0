use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use cairn_eventstore::{Carried, ReadFault, Recorded};
use cairn_kernel::{Position, StreamName};

use crate::carrying::{BATCH, Progress};
use crate::digest::{Digest, Digesting};
use crate::{CarryFault, digest};

/// Reads both logs from their beginning and compares them, event by event. Gives what both hold.
///
/// Of a stream that does not keep everything one log may have removed what the other still has.
pub async fn compare(
    from: &dyn Carried,
    to: &dyn Carried,
    mut tell: impl FnMut(Progress),
) -> Result<Digest, CarryFault> {
    let end = to.end().await.map_err(CarryFault::To)?;
    let retained: HashSet<StreamName> =
        from.retentions().await.map_err(CarryFault::From)?.into_iter().map(|(stream, _)| stream).collect();
    let (mut ours, mut theirs, mut both) = (Walk::new(from), Walk::new(to), Digesting::default());
    loop {
        let (one, other) = (ours.next().await.map_err(CarryFault::From)?, theirs.next().await.map_err(CarryFault::To)?);
        let (one, other) = match (one, other) {
            (None, None) => return Ok(both.done()),
            (Some(one), None) => (Some(one), None),
            (None, Some(other)) => (None, Some(other)),
            (Some(one), Some(other)) => match one.position.cmp(&other.position) {
                Ordering::Equal => (Some(one), Some(other)),
                Ordering::Less => {
                    theirs.put_back(other);
                    (Some(one), None)
                }
                Ordering::Greater => {
                    ours.put_back(one);
                    (None, Some(other))
                }
            },
        };
        match (one, other) {
            (Some(one), Some(other)) if one == other => {
                both.add(&one);
                if one.position.0.is_multiple_of(digest::TELL_EACH) {
                    tell(Progress { reached: one.position, end });
                }
            }
            (Some(one), Some(_)) => return Err(CarryFault::Differs(one.position)),
            (Some(one), None) if !retained.contains(&one.stream) => return Err(CarryFault::Missing(one.position)),
            (None, Some(other)) if !retained.contains(&other.stream) => return Err(CarryFault::Added(other.position)),
            _ => {}
        }
    }
}

/// Goes through a log one event at a time, reading many at once.
pub(crate) struct Walk<'a> {
    log: &'a dyn Carried,
    ahead: VecDeque<Arc<Recorded>>,
    after: Position,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(log: &'a dyn Carried) -> Self {
        Self { log, ahead: VecDeque::new(), after: Position::START }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Arc<Recorded>>, ReadFault> {
        if self.ahead.is_empty() {
            self.ahead = self.log.held(self.after, BATCH).await?.into();
            self.after = self.ahead.back().map_or(self.after, |last| last.position);
        }
        Ok(self.ahead.pop_front())
    }

    fn put_back(&mut self, event: Arc<Recorded>) {
        self.ahead.push_front(event);
    }
}
