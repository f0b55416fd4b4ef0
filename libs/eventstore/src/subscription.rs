use std::sync::Arc;

use cairn_kernel::Position;

use crate::{EventStore, Filter, ReadFault, Recorded};

/// What a subscription says.
#[derive(Clone, Debug)]
pub enum Message {
    /// Wanted events, in order.
    Events(Vec<Arc<Recorded>>),
    /// Nothing wanted up to here: a place to resume from.
    Checkpoint(Position),
    /// History is read; what follows is live.
    CaughtUp(Position),
}

/// Follows the log: history first, then live, without gap or repeat.
///
/// Pulls: a slow subscriber reads history at its own pace and never holds up the writer or anybody else.
pub struct Subscription {
    store: Arc<dyn EventStore>,
    filter: Filter,
    position: Position,
}

impl Subscription {
    /// Starts after `position`.
    pub fn new(store: Arc<dyn EventStore>, position: Position, filter: Filter) -> Self {
        Self { store, filter, position }
    }

    /// Waits for the next message. Cancel safe.
    pub async fn next(&mut self) -> Result<Message, ReadFault> {
        let _ = (&self.store, &self.filter, self.position);
        unimplemented!()
    }
}
