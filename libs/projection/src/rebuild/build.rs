use std::path::PathBuf;
use std::sync::Arc;

use cairn_eventstore::{Direction, EventStore, Filter, ReadFault};
use cairn_kernel::Position;
use rusqlite::TransactionBehavior;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::batch::{self, Batch};
use crate::catalog::{self, Checkpoint};
use crate::definition::Definition;
use crate::file;
use crate::rebuild::{RebuildFault, Rebuilt, Scratch};
use crate::room::Room;

/// Events read at once, and folded in as one transaction.
const PAGE_EVENTS: usize = 1024;
/// Pages read ahead of the writing.
const PAGES_AHEAD: usize = 4;

/// What a view is built from.
#[derive(Clone)]
pub(crate) struct Source {
    pub definition: Definition,
    pub store: Arc<dyn EventStore>,
    /// The running view's file; scratch files go beside it.
    pub live: PathBuf,
    pub runtime: Handle,
}

impl Source {
    /// A file for a second build. What an earlier process left there is removed.
    pub fn scratch(&self, purpose: &str) -> Scratch {
        let scratch = Scratch(file::beside(&self.live, &format!(".{}.{purpose}", self.definition.name)));
        // If this fails, so does opening it.
        let _ = file::remove(&scratch.0);
        scratch
    }

    /// Folds the log into a file of its own, up to and including `to`. Blocks.
    pub fn build(&self, scratch: &Scratch, to: Position) -> Result<Rebuilt, RebuildFault> {
        let began = Instant::now();
        let mut connection = file::open_scratch(&scratch.0)?;
        catalog::create(&connection)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        catalog::start_over(&tx, &self.definition)?;
        tx.commit()?;

        let (pages, mut read) = mpsc::channel(PAGES_AHEAD);
        self.runtime.spawn(read_until(self.store.clone(), self.definition.clone(), to, pages));
        let mut checkpoint = Checkpoint::default();
        let mut rebuilt = Rebuilt { position: to, events: 0, quarantined: 0, took: Default::default() };
        while let Some(batch) = read.blocking_recv() {
            let batch = batch?;
            let committed = batch::commit(&mut connection, &self.definition, &checkpoint, &batch)
                .map_err(|fault| RebuildFault::Scratch(fault.to_string()))?;
            checkpoint = committed.checkpoint;
            rebuilt.events += (batch.events.len() - committed.poison.len()) as u64;
            rebuilt.quarantined += committed.poison.len() as u64;
        }
        rebuilt.took = began.elapsed();
        Ok(rebuilt)
    }
}

/// Reads the log in pages, as far ahead as there is room.
async fn read_until(
    store: Arc<dyn EventStore>,
    definition: Definition,
    to: Position,
    pages: mpsc::Sender<Result<Batch, ReadFault>>,
) {
    let filter = definition.filter();
    let room = Room::new();
    let mut from = Position::START;
    while from < to {
        let mut page = read_page(&*store, &filter, from, to).await;
        if let Ok(batch) = &mut page {
            batch.room.push(room.take(&batch.events).await);
            from = batch.to;
        }
        let is_fault = page.is_err();
        if pages.send(page).await.is_err() || is_fault {
            return;
        }
    }
}

async fn read_page(store: &dyn EventStore, filter: &Filter, from: Position, to: Position) -> Result<Batch, ReadFault> {
    let mut page = store.read_all(from, Direction::Forwards, filter, PAGE_EVENTS).await?;
    if page.is_end && page.considered < to {
        // Not the log that the view was built from.
        return Err(ReadFault::Damaged(format!("the log ends at {}, the view is at {to}", page.considered)));
    }
    page.events.retain(|event| event.position <= to);
    Ok(Batch { events: page.events, to: page.considered.min(to), room: vec![] })
}
