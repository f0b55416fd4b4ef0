use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::AppendFault;
use cairn_eventstore_sqlite::{Entry, Primary, PrimaryFault};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::entry;
use crate::fault::Fault;
use crate::link::Link;

/// Between two attempts to append to a server that has gone away.
const PAUSE: Duration = Duration::from_millis(100);

/// The stream in KurrentDB as the writer of the copy uses it, from a thread of its own.
pub(crate) struct Stream {
    pub(crate) link: Arc<Link>,
    pub(crate) log: Uuid,
    pub(crate) runtime: Handle,
    pub(crate) outage: Duration,
    pub(crate) append_bytes_max: usize,
}

impl Primary for Stream {
    fn log(&self) -> Uuid {
        self.log
    }

    fn batch_bytes_max(&self) -> usize {
        self.append_bytes_max / 2
    }

    fn append(&mut self, held: u64, entries: &[Entry]) -> Result<(), PrimaryFault> {
        self.runtime.block_on(self.append_behind(held, entries))
    }
}

impl Stream {
    async fn append_behind(&self, held: u64, entries: &[Entry]) -> Result<(), PrimaryFault> {
        // The stream's first event is none of the log's.
        let count = held + 1;
        let outcome = match entries {
            [] => self.link.count().await.and_then(|found| match found == count {
                true => Ok(()),
                false => Err(Fault::WrongRevision(found)),
            }),
            entries => self.append_patiently(count, entries).await,
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(Fault::WrongRevision(found)) if found > count => match self.link.entries(held).await {
                Ok(ahead) if ahead.is_empty() => {
                    let why = format!("the log's stream is said to have {found} events, and shows none behind {count}");
                    Err(PrimaryFault::Failed(AppendFault::Damaged(why)))
                }
                Ok(ahead) => Err(PrimaryFault::Behind(ahead)),
                Err(fault) => Err(PrimaryFault::Failed(fault.answer())),
            },
            Err(Fault::WrongRevision(found)) => {
                let why = format!("the log's stream has {found} events where {count} are known: it has lost some");
                Err(PrimaryFault::Failed(AppendFault::Damaged(why)))
            }
            Err(fault) => Err(PrimaryFault::Failed(fault.answer())),
        }
    }

    /// Sends the same events again while nobody knows whether they are there: KurrentDB knows their ids, and says yes to those
    /// that are where they were to be.
    async fn append_patiently(&self, count: u64, entries: &[Entry]) -> Result<(), Fault> {
        let events: Vec<_> = entries.iter().map(entry::written).collect();
        let deadline = Instant::now() + self.outage;
        loop {
            match self.link.append(count, events.clone()).await {
                Err(Fault::Away(_)) if Instant::now() < deadline => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    }
}
