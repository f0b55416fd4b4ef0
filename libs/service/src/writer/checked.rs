use std::sync::Arc;

use async_trait::async_trait;
use cairn_contract::Contract;
use cairn_eventstore::{
    AppendFault, Appending, Direction, EventStore, Filter, Page, ReadFault, Recorded, Retention, Snapshot, Write,
};
use cairn_kernel::{Position, Revision, StreamName};
use tokio::sync::watch;
use uuid::Uuid;

use super::Writer;

/// A store in which nobody writes what the contract does not say they write.
///
/// Panics where somebody would: that is a mistake in the program or in the contract, and no caller's. For builds that
/// are tested; nothing that is released refuses a change because a table forgot it.
pub struct Checked {
    contract: &'static Contract,
    store: Arc<dyn EventStore>,
}

impl Checked {
    /// Holds every append against a contract.
    pub fn new(contract: &'static Contract, store: Arc<dyn EventStore>) -> Self {
        Self { contract, store }
    }

    fn check(&self, kind: &str) {
        let event = self.contract.event(kind).unwrap_or_else(|| panic!("{kind} is no event of the contract"));
        match Writer::current() {
            Some(writer) if writer.writes(event) => {}
            Some(writer) => panic!("{writer} writes {kind}, and the contract does not say so"),
            None => panic!("{kind} is written by no operation and by no process"),
        }
    }
}

#[async_trait]
impl EventStore for Checked {
    fn append(&self, writes: Vec<Write>) -> Appending {
        writes.iter().flat_map(|write| &write.events).for_each(|event| self.check(&event.kind));
        self.store.append(writes)
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        self.store.read(stream, from, direction, limit).await
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        self.store.read_all(from, direction, filter, limit).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        self.store.find(id).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.store.head()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.store.retain(stream, retention).await
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        self.store.snapshot(stream).await
    }

    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        self.store.keep_snapshot(stream, snapshot).await;
    }

    fn trouble(&self) -> Option<AppendFault> {
        self.store.trouble()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use cairn_contract::cairn::auth::events::v1::{ProjectCreated, ProjectDeleted, UserErased};
    use cairn_contract::cairn::options::v1::Process;
    use cairn_eventstore::{Memory, NewEvent};
    use cairn_kernel::Expected;
    use prost::Name;

    use super::*;

    /// What is said when a writer appends an event of a kind.
    async fn said(writer: Option<Writer>, kind: String) -> Option<String> {
        let store = Checked::new(Contract::embedded().unwrap(), Arc::new(Memory::new()));
        let event = NewEvent {
            id: Uuid::new_v4(),
            kind: kind.into(),
            payload: [].as_slice().into(),
            metadata: [].as_slice().into(),
        };
        let write = Write::new(StreamName::stored("auth.project-a"), Expected::Any, vec![event]);
        let append = || catch_unwind(AssertUnwindSafe(|| drop(store.append(vec![write]))));
        let outcome = match writer {
            Some(writer) => writer.run(async { append() }).await,
            None => append(),
        };
        let said = outcome.err()?.downcast_ref::<String>().cloned();
        Some(said.unwrap_or_default())
    }

    #[tokio::test]
    async fn nobody_writes_what_the_contract_does_not_say_they_write_s3_57() {
        let contract = Contract::embedded().unwrap();
        let delete = contract.method("/cairn.auth.v1.ProjectService/DeleteProject").map(Writer::Operation);
        let start = Some(Writer::Process(Process::Start));
        assert!(delete.is_some());
        assert_eq!(said(delete, ProjectDeleted::full_name()).await, None);
        assert_eq!(said(start, ProjectCreated::full_name()).await, None);
        for (writer, kind, expected) in [
            (
                delete,
                UserErased::full_name(),
                "cairn.auth.v1.ProjectService/DeleteProject writes cairn.auth.events.v1.UserErased, and the contract does \
                 not say so",
            ),
            (
                start,
                ProjectDeleted::full_name(),
                "PROCESS_START writes cairn.auth.events.v1.ProjectDeleted, and the contract does not say so",
            ),
            (
                None,
                ProjectCreated::full_name(),
                "cairn.auth.events.v1.ProjectCreated is written by no operation and by no process",
            ),
            (start, "cairn.auth.events.v1.Unheard".into(), "cairn.auth.events.v1.Unheard is no event of the contract"),
        ] {
            assert_eq!(said(writer, kind).await.as_deref(), Some(expected));
        }
    }
}
