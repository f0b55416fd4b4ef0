use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::EventStore;
use cairn_kernel::Position;
use tokio::time::Instant;

use crate::{Projection, QueryFault, ReadModel};

/// Why a reader did not get to see its position.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WaitFault {
    #[error("view {view} is at position {at}, not yet at {wanted}")]
    Behind { view: &'static str, at: Position, wanted: Position },
    #[error("view {view} has stopped")]
    Stopped { view: &'static str },
}

/// A running projection. Cheap to clone.
#[derive(Clone)]
pub struct View {
    name: &'static str,
}

impl View {
    /// Starts following the log from the view's checkpoint.
    pub fn start<P: Projection>(
        _store: Arc<dyn EventStore>,
        _model: &ReadModel,
        _projection: P,
    ) -> Result<Self, QueryFault> {
        unimplemented!()
    }

    /// Waits until the view has seen `position`.
    pub async fn reached(&self, _position: Position, _deadline: Instant) -> Result<(), WaitFault> {
        unimplemented!()
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many events the log is ahead of it.
    pub fn lag(&self) -> u64 {
        unimplemented!()
    }

    /// Stops after the batch at hand and waits for it.
    pub async fn stop(&self, _grace: Duration) {
        unimplemented!()
    }
}
