use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_eventstore::{Direction, EventStore, Filter, ReadFault};
use cairn_kernel::Position;
use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batch::{self, Batch};
use crate::catalog;
use crate::definition::Definition;
use crate::file;
use crate::rebuild::{RebuildFault, Rebuilt, Scratch};
use crate::room::Room;

/// Events read at once, and folded in as one transaction.
const PAGE_EVENTS: usize = 4096;
/// Pages read ahead of the writing.
const PAGES_AHEAD: usize = 2;

/// What a build beside the running view is for. Each has a file of its own, so that none is in another's way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The view has nothing yet and a long log to read.
    First,
    Rebuild,
    Verify,
}

/// What a view is built from.
#[derive(Clone)]
pub(crate) struct Source {
    pub definition: Definition,
    pub store: Arc<dyn EventStore>,
    /// The running view's file; scratch files go beside it.
    pub live: PathBuf,
    pub runtime: Handle,
    /// The view stops, and whatever is built for it.
    pub stop: CancellationToken,
}

impl Source {
    /// A file for a second build. What an earlier process left there is removed.
    pub fn scratch(&self, purpose: Purpose) -> Scratch {
        let scratch = self.scratch_file(purpose);
        // If this fails, so does opening it.
        let _ = file::remove(&scratch.0);
        scratch
    }

    /// Removes what an earlier process left in the middle of a build.
    pub fn clean_up(&self) {
        for purpose in [Purpose::First, Purpose::Rebuild, Purpose::Verify] {
            drop(self.scratch_file(purpose));
        }
    }

    fn scratch_file(&self, purpose: Purpose) -> Scratch {
        let purpose = match purpose {
            Purpose::First => "first",
            Purpose::Rebuild => "rebuild",
            Purpose::Verify => "verify",
        };
        Scratch(file::beside(&self.live, &format!(".{}.{purpose}", self.definition.name)))
    }

    /// Folds the log into a file of its own, up to and including `to`, without the indexes that only readers need.
    /// Blocks.
    pub fn build(&self, scratch: &Scratch, to: Position) -> Result<Rebuilt, RebuildFault> {
        let mut connection = file::open_scratch(&scratch.0)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        catalog::create(&tx)?;
        catalog::start_over(&tx, &self.definition)?;
        catalog::drop_reader_indexes(&tx, &self.definition)?;
        tx.commit()?;
        self.fold(&mut connection, to)
    }

    /// The same with all indexes: what can take the running view's place.
    pub fn build_whole(&self, scratch: &Scratch, to: Position) -> Result<Rebuilt, RebuildFault> {
        let began = Instant::now();
        let rebuilt = self.build(scratch, to)?;
        catalog::create_reader_indexes(&file::open_scratch(&scratch.0)?, &self.definition)?;
        Ok(Rebuilt { took: began.elapsed(), ..rebuilt })
    }

    /// Folds in what a build lacks up to `to`. Blocks.
    pub fn go_on(&self, built: &Path, to: Position) -> Result<Rebuilt, RebuildFault> {
        self.fold(&mut file::open_scratch(built)?, to)
    }

    fn fold(&self, connection: &mut Connection, to: Position) -> Result<Rebuilt, RebuildFault> {
        let began = Instant::now();
        let mut checkpoint = catalog::checkpoint(connection, self.definition.name)?.unwrap_or_default();
        let mut rebuilt = Rebuilt { position: to, events: 0, quarantined: 0, took: Default::default() };
        let (pages, mut read) = mpsc::channel(PAGES_AHEAD);
        self.runtime.spawn(read_until(self.store.clone(), self.definition.clone(), checkpoint.position, to, pages));
        while let Some(batch) = read.blocking_recv() {
            let batch = batch?;
            if self.stop.is_cancelled() {
                break;
            }
            let committed = batch::commit(connection, &self.definition, &checkpoint, &batch)
                .map_err(|fault| RebuildFault::Scratch(fault.to_string()))?;
            checkpoint = committed.checkpoint;
            rebuilt.events += (batch.events.len() - committed.poison.len()) as u64;
            rebuilt.quarantined += committed.poison.len() as u64;
        }
        if checkpoint.position < to {
            // Whoever reads the log has been stopped too, so what is built is not whole.
            return Err(RebuildFault::Stopped { view: self.definition.name });
        }
        rebuilt.took = began.elapsed();
        Ok(rebuilt)
    }
}

/// Reads the log in pages, as far ahead as there is room.
async fn read_until(
    store: Arc<dyn EventStore>,
    definition: Definition,
    mut from: Position,
    to: Position,
    pages: mpsc::Sender<Result<Batch, ReadFault>>,
) {
    let filter = definition.filter();
    let room = Room::new();
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
