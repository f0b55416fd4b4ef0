//! What clients want to append, looked at before it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cairn_kurrent_protocol::shared;
use tonic::Status;
use uuid::Uuid;

use crate::{Config, refusals, uuids};

/// An event as a program says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub id: Uuid,
    pub kind: String,
    pub content_type: String,
    pub data: Bytes,
    pub metadata: Bytes,
}

/// The proposals of one append, within its limits.
pub struct Proposals {
    config: Arc<Config>,
    events: Vec<Proposal>,
    bytes: usize,
}

impl Proposal {
    fn read(
        id: Option<&shared::Uuid>,
        mut metadata: BTreeMap<String, String>,
        custom_metadata: Bytes,
        data: Bytes,
    ) -> Result<Self, Status> {
        let id = uuids::read(id).ok_or_else(|| refusals::invalid("id", "is no UUID"))?;
        let mut said = |property| metadata.remove(property).ok_or_else(|| refusals::missing_metadata(property));
        let (kind, content_type) = (said("type")?, said("content-type")?);
        if kind.is_empty() {
            return Err(refusals::missing_metadata("type"));
        }
        Ok(Self { id, kind, content_type, data, metadata: custom_metadata })
    }

    fn bytes(&self) -> usize {
        self.data.len() + self.metadata.len() + self.kind.len()
    }
}

impl Proposals {
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, events: vec![], bytes: 0 }
    }

    /// Adds one, or says what is wrong with it.
    pub fn add(
        &mut self,
        id: Option<&shared::Uuid>,
        metadata: BTreeMap<String, String>,
        custom_metadata: Bytes,
        data: Bytes,
    ) -> Result<(), Status> {
        let event = Proposal::read(id, metadata, custom_metadata, data)?;
        let bytes = event.bytes();
        if bytes > self.config.event_bytes_max {
            return Err(refusals::event_too_large(event.id, bytes, self.config.event_bytes_max));
        }
        self.bytes += bytes;
        if self.bytes > self.config.append_bytes_max {
            return Err(refusals::append_too_large(self.config.append_bytes_max));
        }
        self.events.push(event);
        Ok(())
    }

    /// What they come to.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn events(self) -> Vec<Proposal> {
        self.events
    }
}
