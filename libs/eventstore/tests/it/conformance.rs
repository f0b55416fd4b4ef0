use std::sync::Arc;

use async_trait::async_trait;
use cairn_eventstore::conformance::Harness;
use cairn_eventstore::{EventStore, Memory};
use cairn_kernel::SimClock;

struct InMemory {
    clock: SimClock,
    store: Memory,
}

impl InMemory {
    fn new() -> Self {
        let clock = SimClock::default();
        Self { store: Memory::with_clock(Arc::new(clock.clone())), clock }
    }
}

#[async_trait]
impl Harness for InMemory {
    async fn open(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }
}

cairn_eventstore::conformance!(InMemory::new());
