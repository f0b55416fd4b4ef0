use std::sync::Arc;

use async_trait::async_trait;
use cairn_eventstore::{AppendFault, Carried, Direction, EventStore, Filter, ReadFault, Recorded, Retention};
use cairn_kernel::{Position, StreamName};
use tokio::sync::oneshot;

use crate::Sqlite;
use crate::query::{self, LogQuery};
use crate::queue::Job;
use crate::store::stopped;

#[async_trait]
impl Carried for Sqlite {
    async fn end(&self) -> Result<Position, ReadFault> {
        Ok(self.shared.ring.head())
    }

    async fn held(&self, after: Position, limit: usize) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        let shared = Arc::clone(&self.shared);
        let read = move |connection: &_| {
            let (head, filter) = (shared.ring.head(), Filter::all());
            let query = LogQuery { connection, dictionary: &shared.dictionary, filter: &filter, head, now: None };
            let mut from = after;
            loop {
                let page = query.page(from, Direction::Forwards, limit)?;
                if page.is_end || !page.events.is_empty() {
                    return Ok(page.events);
                }
                from = page.considered;
            }
        };
        self.readers.run(read).await
    }

    async fn retentions(&self) -> Result<Vec<(StreamName, Retention)>, ReadFault> {
        self.readers.run(query::retentions).await
    }

    async fn take_over(&self, events: Vec<Arc<Recorded>>) -> Result<(), AppendFault> {
        let bytes = events.iter().map(|event| event.payload.len() + event.metadata.len()).sum();
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Job::TakeOver { events, bytes, answer })?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn take_over_retention(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.retain(stream, retention).await
    }
}
