//! Answers, as the protocol has them.

use std::sync::Arc;

use cairn_contract::Contract;
use cairn_eventstore::{Direction, EventStore, Recorded};
use cairn_kernel::{Position, Revision, Time};
use cairn_kurrent_protocol::shared::StreamIdentifier;
use cairn_kurrent_protocol::streams::ReadResp;
use cairn_kurrent_protocol::streams::read_resp::{
    self, CaughtUp, Checkpoint, Content, StreamNotFound, SubscriptionConfirmation,
};
use cairn_service::{refuse, timestamp};
use tonic::Status;
use uuid::Uuid;

use crate::names::Place;
use crate::shown::{Shown, read_event};
use crate::sight::Sight;
use crate::uuids::Form;

/// How a client wants events to be told.
pub struct Telling {
    pub contract: &'static Contract,
    pub store: Arc<dyn EventStore>,
    pub form: Form,
    pub resolves_links: bool,
}

impl Telling {
    /// An event, and what it stands for if the client wants to know and may.
    pub async fn event(&self, sight: &Sight, event: &Recorded) -> Result<ReadResp, Status> {
        let shown = Shown::of(event);
        let link = if self.resolves_links { shown.link() } else { None };
        let target = match link {
            Some((revision, stream)) => self.target(sight, revision, &stream).await?,
            None => None,
        };
        let target = target.map(|target| Shown::of(&target).event(self.contract, self.form));
        Ok(say(Content::Event(read_event(shown.event(self.contract, self.form), target))))
    }

    async fn target(&self, sight: &Sight, revision: u64, stream: &str) -> Result<Option<Arc<Recorded>>, Status> {
        let Some(stream) = Place::parse(stream.as_bytes()).ok().and_then(|place| place.stream()) else {
            return Ok(None);
        };
        let found = self.store.read(&stream, Revision(revision), Direction::Forwards, 1).await.map_err(refuse)?;
        Ok(found.into_iter().find(|event| event.revision.0 == revision && sight.sees(event)))
    }
}

pub fn confirmed() -> ReadResp {
    say(Content::Confirmation(SubscriptionConfirmation { subscription_id: Uuid::new_v4().to_string() }))
}

/// Everything up to here was considered.
pub fn checkpoint(position: Position, now: Time) -> ReadResp {
    let Position(position) = position;
    say(Content::Checkpoint(Checkpoint {
        commit_position: position,
        prepare_position: position,
        timestamp: Some(timestamp(now)),
    }))
}

/// What follows is live. Of a stream, the last revision that was told.
pub fn caught_up(now: Time, revision: Option<i64>, position: Option<Position>) -> ReadResp {
    let position = position
        .map(|Position(position)| read_resp::Position { commit_position: position, prepare_position: position });
    say(Content::CaughtUp(CaughtUp { timestamp: Some(timestamp(now)), stream_revision: revision, position }))
}

pub fn not_found(name: &str) -> ReadResp {
    let stream_identifier = Some(StreamIdentifier { stream_name: name.to_owned().into() });
    say(Content::StreamNotFound(StreamNotFound { stream_identifier }))
}

pub fn say(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}
