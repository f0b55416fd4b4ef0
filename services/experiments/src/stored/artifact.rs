use bytes::Bytes;
use cairn_contract::cairn::experiments::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, name, read};
use crate::model::artifact::{Artifact, ArtifactPath, Change, Content, Event};

kinds! {
    RECORDED = ArtifactRecorded;
    DELETED = ArtifactDeleted;
}

impl Stored for Artifact {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let (owner, path) = (event.owner.to_string(), event.path.to_string());
        match &event.change {
            Change::Recorded(Content { object_key, size, sha256, media_type }) => {
                let message = proto::ArtifactRecorded {
                    owner,
                    path,
                    object_key: object_key.clone(),
                    size_bytes: *size,
                    sha256: sha256.clone(),
                    media_type: media_type.clone(),
                };
                (RECORDED, message.encode_to_vec().into())
            }
            Change::Deleted => (DELETED, proto::ArtifactDeleted { owner, path }.encode_to_vec().into()),
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (owner, path, change) = match kind {
            RECORDED => {
                let message: proto::ArtifactRecorded = read(payload)?;
                let content = Content {
                    object_key: message.object_key,
                    size: message.size_bytes,
                    sha256: message.sha256,
                    media_type: message.media_type,
                };
                (message.owner, message.path, Change::Recorded(content))
            }
            DELETED => {
                let proto::ArtifactDeleted { owner, path } = read(payload)?;
                (owner, path, Change::Deleted)
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { owner: name(kind, &owner)?, path: ArtifactPath::stored(path), change })
    }
}
