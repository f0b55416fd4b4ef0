//! Reading one stream.

use std::collections::VecDeque;
use std::sync::Arc;

use cairn_eventstore::{Direction, Recorded};
use cairn_kernel::{Revision, StreamName};
use cairn_kurrent_protocol::streams::ReadResp;
use cairn_kurrent_protocol::streams::read_resp::Content;
use cairn_service::{Ctx, refuse};
use futures::stream;
use tonic::Status;

use super::asked::Begin;
use super::telling::{Telling, not_found, say};
use super::{Answers, Reading};
use crate::kept::Limits;
use crate::names::Place;
use crate::refusals;
use crate::sight::{Sight, nothing_seen};

/// What is read of a stream or the log.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub begin: Begin,
    pub count: u64,
    pub is_backwards: bool,
}

/// A stream as its reader finds it.
pub struct Found {
    pub stream: StreamName,
    pub limits: Limits,
    /// `None`: there is nothing that would be shown, ever or any more.
    pub last: Option<Revision>,
}

/// One reader's place in a stream.
struct Reader {
    reading: Reading,
    ctx: Ctx,
    telling: Telling,
    stream: StreamName,
    limits: Limits,
    first: u64,
    /// Where to go on. `None`: there is no more.
    next: Option<u64>,
    left: u64,
    is_backwards: bool,
    ready: VecDeque<Arc<Recorded>>,
    sight: Sight,
    /// What is said when all is told, and whether nothing was.
    ends: VecDeque<u64>,
    is_empty: bool,
}

pub async fn read(
    reading: &Reading,
    ctx: Ctx,
    telling: Telling,
    (name, place): (String, Place),
    range: Range,
    tells_ends: bool,
) -> Result<Answers, Status> {
    let found = find(reading, &ctx, &name, &place).await?;
    let Some(last) = found.last else { return Ok(Box::pin(stream::iter([Ok(not_found(&name))]))) };
    let first = found.limits.first(last);
    let next = match (range.begin, range.is_backwards) {
        (Begin::Start, false) => Some(first),
        (Begin::At(revision), false) => Some(revision.max(first)),
        (Begin::End, false) => None,
        (Begin::Start, true) => Some(0),
        (Begin::End, true) => Some(last.0),
        (Begin::At(revision), true) => Some(revision.min(last.0)),
    };
    let reader = Reader {
        sight: Sight::of(&ctx),
        reading: reading.clone(),
        ctx,
        telling,
        stream: found.stream,
        limits: found.limits,
        first,
        next,
        left: range.count,
        is_backwards: range.is_backwards,
        ready: VecDeque::new(),
        ends: if tells_ends { [first.min(last.0 + 1), last.0].into() } else { VecDeque::new() },
        is_empty: true,
    };
    let answers =
        stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|told| (told, reader))) });
    Ok(Box::pin(answers))
}

/// Looks at a stream, and refuses whoever may see nothing of it.
pub async fn find(reading: &Reading, ctx: &Ctx, name: &str, place: &Place) -> Result<Found, Status> {
    let sight = Sight::of(ctx);
    let kept = match place {
        Place::Program(stream) | Place::Metadata(stream) => {
            if !sight.sees_all_of(place) {
                nothing_seen(ctx, place)?;
            }
            reading.keeping.now(stream).await.map_err(refuse)?
        }
        Place::Platform(_) | Place::System => Default::default(),
    };
    if kept.is_tombstoned {
        return Err(refusals::deleted(name));
    }
    let limits = match place {
        Place::Program(_) => kept.limits,
        Place::Metadata(_) => Limits::NEWEST,
        Place::Platform(_) | Place::System => Limits::default(),
    };
    let Some(stream) = place.stream() else {
        // No stream of the log begins so: there is nothing to read, and nothing to wait for.
        return Ok(Found { stream: StreamName::stored("$"), limits, last: None });
    };
    let last = reading.store.read(&stream, Revision(u64::MAX), Direction::Backwards, 1).await.map_err(refuse)?;
    if !sight.sees_all_of(place) && !last.first().is_some_and(|last| sight.sees(last)) {
        nothing_seen(ctx, place)?;
    }
    let is_deleted = kept.is_deleted() && matches!(place, Place::Program(_));
    let last = last.first().map(|last| last.revision).filter(|_| !is_deleted);
    Ok(Found { stream, limits, last })
}

impl Reader {
    async fn next(&mut self) -> Result<Option<ReadResp>, Status> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.is_empty = false;
                return self.telling.event(&self.sight, &event).await.map(Some);
            }
            match self.next.filter(|_| self.left > 0) {
                Some(next) => self.page(next).await?,
                None => return Ok(self.end()),
            }
        }
    }

    async fn page(&mut self, next: u64) -> Result<(), Status> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.reading.config.ahead_events_max);
        let direction = if self.is_backwards { Direction::Backwards } else { Direction::Forwards };
        let events = self.reading.store.read(&self.stream, Revision(next), direction, count).await.map_err(refuse)?;
        self.sight = Sight::of(&self.ctx);
        self.next = events.last().and_then(|last| match self.is_backwards {
            true => last.revision.0.checked_sub(1),
            false => Some(last.revision.0 + 1),
        });
        let now = self.reading.clock.now();
        for event in events {
            let is_shown = event.revision.0 >= self.first && !self.limits.is_outdated(&event, now);
            if !is_shown && self.is_backwards {
                // What is older is not shown either.
                self.next = None;
                break;
            }
            if is_shown && self.sight.sees(&event) {
                self.left -= 1;
                self.ready.push_back(event);
            }
        }
        Ok(())
    }

    /// Where the stream begins, if nothing of it was told, and where it ends.
    fn end(&mut self) -> Option<ReadResp> {
        let at = self.ends.pop_front()?;
        if !self.ends.is_empty() {
            return match self.is_empty {
                true => Some(say(Content::FirstStreamPosition(at))),
                false => self.end(),
            };
        }
        Some(say(Content::LastStreamPosition(at)))
    }
}
