//! Which rows of a view changed, kept in its own file for whoever copies it elsewhere.
//!
//! Triggers note the key of each row that is written, once, with the position of the batch that wrote it last; in the same
//! transaction, so that no crash comes between a row and its note. A copy that says how far it has come is given the rows
//! since, as they are now. It says so again when it has them, and notes up to there are dropped.

mod outbox;
mod shape;
mod snapshot;

use std::sync::Arc;

use cairn_eventstore::ReadFault;
use cairn_kernel::Position;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use self::outbox::{begin_again, mark, replaced, take_away};
pub use self::shape::{Column, Kind, TableShape};
pub use self::snapshot::{Cells, Rows, Snapshot, Standing};
use crate::catalog::Checkpoint;
use crate::{Copied, QueryFault, View, file, history};

/// Notes dropped in one transaction: the view waits for no more than that.
const DROPPED_MAX: usize = 2_000;

/// Why what a view holds cannot be read for a copy.
#[derive(Debug, thiserror::Error)]
pub enum ChangesFault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// The file was made anew.
    #[error("changes of view {0} are not noted down")]
    NotNoted(&'static str),
    #[error("{table}.{column} is {declared} and holds {found}")]
    Unlike { table: String, column: String, declared: &'static str, found: String },
    #[error("whoever asked for the rows has gone")]
    Abandoned,
}

/// The changes of one running view. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    view: View,
    copied: Copied,
    tables: Arc<[TableShape]>,
    /// Open between one look and the next, for the making of the file that it belongs to.
    reader: Arc<Mutex<Option<(u64, Connection)>>>,
}

impl Changes {
    /// Notes down from now on what changes in a view, unless that is done already.
    pub(crate) fn record(view: &View, copied: Copied) -> Result<Self, QueryFault> {
        let definition = view.definition();
        let tables = shape::of(definition, &copied)?;
        let mut writer = view.model().writer();
        let tx = writer.connection()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
        outbox::install(&tx, definition.name, &copied, &tables)?;
        tx.commit()?;
        MutexGuard::unlock_fair(writer);
        Ok(Self { view: view.clone(), copied, tables, reader: Arc::default() })
    }

    /// Notes nothing down any more.
    pub(crate) fn forget(view: &View) -> Result<(), QueryFault> {
        let mut writer = view.model().writer();
        let tx = writer.connection()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
        outbox::uninstall(&tx, view.definition())?;
        tx.commit()?;
        MutexGuard::unlock_fair(writer);
        Ok(())
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    pub fn copied(&self) -> &Copied {
        &self.copied
    }

    /// The tables that are copied.
    pub fn tables(&self) -> &[TableShape] {
        &self.tables
    }

    /// Names the shape of the tables, and whatever else makes rows of another kind of them.
    pub fn shape(&self) -> &str {
        &self.view.definition().shape
    }

    /// Notice of each batch.
    pub fn positions(&self) -> watch::Receiver<Position> {
        self.view.positions()
    }

    /// The view as it is now, for as long as the snapshot is held. Blocks.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, ChangesFault> {
        let mut reader = self.reader.lock();
        let model = self.view.model();
        let generation = *model.generation().borrow();
        let kept = reader.take().filter(|(of, _)| *of == generation);
        let connection = match kept {
            Some((_, connection)) => connection,
            None => file::open_reader(model.path())?,
        };
        Snapshot::begin(reader, generation, connection, self.view.name(), &self.tables)
    }

    /// A copy has everything up to here: drops the notes that it needs no more. Blocks, and makes way for the view.
    pub fn is_copied(&self, to: Position) -> Result<(), ChangesFault> {
        loop {
            let mut writer = self.view.model().writer();
            let tx = writer.connection()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // First, so that no copy is believed to have less and given too little.
            outbox::raise(&tx, self.view.name(), to)?;
            let mut left = DROPPED_MAX;
            for table in self.tables.iter() {
                left -= outbox::drop_notes(&tx, table, to, left)?;
            }
            tx.commit()?;
            MutexGuard::unlock_fair(writer);
            if left > 0 {
                return Ok(());
            }
        }
    }

    /// A copy was made of everything, after the view's rows had been replaced without notes. Blocks.
    pub fn is_filled(&self, standing: &Standing) -> Result<(), ChangesFault> {
        let mut writer = self.view.model().writer();
        outbox::settle(writer.connection()?, self.view.name(), standing)?;
        MutexGuard::unlock_fair(writer);
        Ok(())
    }

    /// Whether the log is another one than a copy was made from, and why.
    pub async fn divergence(
        &self,
        position: Position,
        last: Option<(Position, Uuid)>,
    ) -> Result<Option<String>, ReadFault> {
        history::divergence(self.view.store(), &Checkpoint { position, last }).await
    }
}
