//! Reading the whole log.

use std::collections::VecDeque;
use std::sync::Arc;

use cairn_eventstore::{Direction, Filter as Whole, Recorded};
use cairn_kernel::Position;
use cairn_kurrent_protocol::streams::ReadResp;
use cairn_service::{Ctx, refuse};
use futures::stream;
use tonic::Status;

use super::asked::Begin;
use super::filter::Filter;
use super::stream::Range;
use super::telling::Telling;
use super::{Answers, Reading};
use crate::refusals;
use crate::shown::Shown;
use crate::sight::Sight;

/// One reader's place in the log.
struct Reader {
    reading: Reading,
    ctx: Ctx,
    telling: Telling,
    filter: Option<Filter>,
    /// Everything up to here (backwards: down to here) has been read.
    at: Position,
    /// Where the log ended when it was asked for: what is appended meanwhile is for the next to ask.
    head: Position,
    has_ended: bool,
    left: u64,
    is_backwards: bool,
    ready: VecDeque<Arc<Recorded>>,
    sight: Sight,
}

pub fn read(
    reading: &Reading,
    ctx: Ctx,
    telling: Telling,
    range: Range,
    filter: Option<Filter>,
) -> Result<Answers, Status> {
    let head = reading.head();
    let end = head.0 + 1;
    // Forwards the position itself is told, backwards it is not.
    let at = match (range.begin, range.is_backwards) {
        (Begin::At(position), _) if position > end => return Err(refusals::no_position(position, head.0)),
        (Begin::At(position), false) => position.saturating_sub(1),
        (Begin::At(position), true) => position,
        (Begin::Start, _) => 0,
        (Begin::End, false) => head.0,
        (Begin::End, true) => end,
    };
    let reader = Reader {
        sight: Sight::of(&ctx),
        reading: reading.clone(),
        ctx,
        telling,
        filter,
        at: Position(at),
        head,
        has_ended: range.is_backwards && at <= 1,
        left: range.count,
        is_backwards: range.is_backwards,
        ready: VecDeque::new(),
    };
    let answers =
        stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|told| (told, reader))) });
    Ok(Box::pin(answers))
}

impl Reader {
    async fn next(&mut self) -> Result<Option<ReadResp>, Status> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return self.telling.event(&self.sight, &event).await.map(Some);
            }
            if self.has_ended || self.left == 0 {
                return Ok(None);
            }
            self.page().await?;
        }
    }

    async fn page(&mut self) -> Result<(), Status> {
        let direction = if self.is_backwards { Direction::Backwards } else { Direction::Forwards };
        let count = self.reading.config.ahead_events_max;
        let page = self.reading.store.read_all(self.at, direction, &Whole::all(), count).await.map_err(refuse)?;
        self.sight = Sight::of(&self.ctx);
        self.at = page.considered;
        self.has_ended = page.is_end || (!self.is_backwards && self.at >= self.head);
        for event in page.events {
            if self.left == 0 || (!self.is_backwards && event.position > self.head) {
                break;
            }
            if self.sight.sees(&event) && wants(self.filter.as_ref(), &event)? {
                self.left -= 1;
                self.ready.push_back(event);
            }
        }
        Ok(())
    }
}

/// Whether an event is one that the client wants.
pub fn wants(filter: Option<&Filter>, event: &Recorded) -> Result<bool, Status> {
    let Some(filter) = filter else { return Ok(true) };
    let shown = Shown::of(event);
    filter.wants(&shown.stream, &shown.kind)
}
