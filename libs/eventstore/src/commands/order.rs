use bytes::Bytes;
use cairn_kernel::Metadata;
use uuid::Uuid;

/// Makes a retry safe: which request this is, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Derived from principal, method and the caller's `request_id` (or run and batch id).
    pub id: Uuid,
    /// SHA-256 of the request, hex: a repeat must match it.
    pub hash: String,
}

impl RequestKey {
    /// The id of the request's event number `index`. The same on every try, which is what makes repeats recognisable, also
    /// in a view.
    pub fn event_id(&self, index: usize) -> Uuid {
        Uuid::new_v5(&self.id, &(index as u64).to_be_bytes())
    }
}

/// Under which circumstances a command is carried out.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Stored with every event the command causes.
    pub metadata: Metadata,
    /// Given when the caller wants retries to be safe.
    pub request: Option<RequestKey>,
}

impl Order {
    /// What is stored beside each event: the metadata, and what the request said.
    pub(super) fn stored_metadata(&self) -> Bytes {
        let Some(request) = &self.request else { return self.metadata.encode().into() };
        let metadata = Metadata { request_hash: Some(request.hash.clone()), ..self.metadata.clone() };
        metadata.encode().into()
    }
}
