//! Read models as they were: at any position of the log, the same tables answer the same queries with what they held
//! there.

mod one_by_one;
mod twins;

use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::EventStore;
use cairn_kernel::Position;
use rusqlite::Connection;
use tokio::time::Instant;

pub(crate) use self::one_by_one::OneByOne;
pub(crate) use self::twins::Twins;
use crate::definition::Definition;
use crate::view::Limits;
use crate::{Projection, QueryFault, ReadModel, View, WaitFault};

/// The past of one view: a second build of it, in a file of its own, that forgets nothing.
///
/// Each table has a twin that keeps every state of every row, with the positions from which and to which it was so.
/// Triggers write it, so a projection does not know of it. A reader finds the twins under the tables' names, cut to one
/// position: queries do not know of it either. Apart from the running view, so that a write waits no longer and a query
/// of the present meets no rows of the past.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Past {
    model: ReadModel,
    view: View,
}

/// Why the past cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PastFault {
    #[error(transparent)]
    Wait(#[from] WaitFault),
    #[error("the log ends at position {head}: {asked} has not been yet")]
    Ahead { asked: Position, head: Position },
}

impl Past {
    /// Opens or creates the file with room for `readers` concurrent queries, and starts following the log. Must be called
    /// on a tokio runtime.
    pub fn start<P: Projection>(
        store: Arc<dyn EventStore>,
        path: &Path,
        readers: usize,
        projection: P,
    ) -> Result<Self, QueryFault> {
        let name = P::PAST.ok_or_else(|| QueryFault::Conflict(format!("view {} keeps no past", P::NAME)))?;
        let definition = Definition::of(projection)?;
        let prelude = twins::prelude(&definition)?;
        let model = ReadModel::open_with(path, readers, prelude)?;
        let view = View::follow(store, &model, definition.past(name)?, Limits::default())?;
        Ok(Self { model, view })
    }

    /// The view that writes it.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The tables as they were once everything up to a position had been folded in, and nothing after it.
    pub async fn at(&self, position: Position, deadline: Instant) -> Result<ReadModel, PastFault> {
        let head = self.view.head();
        if position > head {
            return Err(PastFault::Ahead { asked: position, head });
        }
        self.view.reached(position, deadline).await?;
        Ok(self.model.at(position))
    }
}

/// Makes a reader's connection show one moment.
pub(crate) fn show(connection: &Connection, at: Position) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("UPDATE temp.past_at SET position = ?1")?.execute([at.0.cast_signed()])?;
    Ok(())
}
