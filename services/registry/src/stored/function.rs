use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::structure::{object, structure};
use super::{kinds, name, read};
use crate::model::Function;
use crate::model::function::{Change, Document, Event, FunctionVersionName, Package};

kinds! {
    CREATED = FunctionCreated;
    REVISED = FunctionRevised;
    DELETED = FunctionDeleted;
    PUBLISHED = FunctionVersionPublished;
}

impl Stored for Function {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let function = event.function.to_string();
        match &event.change {
            Change::Created { revision, document } => {
                let Document { description, labels, spec } = Document::clone(document);
                let spec = Some(structure(spec));
                let message = proto::FunctionCreated { function, revision: *revision, description, labels, spec };
                (CREATED, message.encode_to_vec().into())
            }
            Change::Revised { revision, document } => {
                let Document { description, labels, spec } = Document::clone(document);
                let spec = Some(structure(spec));
                let message = proto::FunctionRevised { function, revision: *revision, description, labels, spec };
                (REVISED, message.encode_to_vec().into())
            }
            Change::Deleted { revision } => {
                (DELETED, proto::FunctionDeleted { function, revision: *revision }.encode_to_vec().into())
            }
            Change::Published { version, package } => {
                let Package { document, sha256, size, signature, object_key } = Package::clone(package);
                let message = proto::FunctionVersionPublished {
                    version: event.function.version(version).to_string(),
                    description: document.description,
                    labels: document.labels,
                    spec: Some(structure(document.spec)),
                    sha256,
                    size_bytes: size,
                    signature,
                    object_key,
                };
                (PUBLISHED, message.encode_to_vec().into())
            }
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let document = |description, labels, spec: Option<prost_types::Struct>| Document {
            description,
            labels,
            spec: object(spec.unwrap_or_default()),
        };
        let (function, change) = match kind {
            CREATED => {
                let proto::FunctionCreated { function, revision, description, labels, spec } = read(payload)?;
                (function, Change::Created { revision, document: Arc::new(document(description, labels, spec)) })
            }
            REVISED => {
                let proto::FunctionRevised { function, revision, description, labels, spec } = read(payload)?;
                (function, Change::Revised { revision, document: Arc::new(document(description, labels, spec)) })
            }
            DELETED => {
                let proto::FunctionDeleted { function, revision } = read(payload)?;
                (function, Change::Deleted { revision })
            }
            PUBLISHED => {
                let message: proto::FunctionVersionPublished = read(payload)?;
                let FunctionVersionName { function, version } = name(kind, &message.version)?;
                let package = Package {
                    document: document(message.description, message.labels, message.spec),
                    sha256: message.sha256,
                    size: message.size_bytes,
                    signature: message.signature,
                    object_key: message.object_key,
                };
                return Ok(Event { function, change: Change::Published { version, package: Arc::new(package) } });
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { function: name(kind, &function)?, change })
    }
}
