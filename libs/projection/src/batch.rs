use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cairn_eventstore::Recorded;
use cairn_kernel::Position;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::ProjectionFault;
use crate::catalog::{self, Checkpoint};
use crate::changes;
use crate::definition::Definition;
use crate::file::{Trouble, trouble};
use crate::room::Taken;

/// Events to be folded in together, and where the view stands after them.
#[derive(Debug)]
pub(crate) struct Batch {
    pub events: Vec<Arc<Recorded>>,
    /// Everything up to here was considered.
    pub to: Position,
    /// Free for others once the batch is written.
    pub room: Vec<Taken>,
}

impl Batch {
    /// Nothing wanted up to `to`.
    pub fn nothing(to: Position) -> Self {
        Self { events: vec![], to, room: vec![] }
    }
}

/// An event that could not be folded in, and was set aside.
#[derive(Debug)]
pub(crate) struct Poison {
    pub event: Arc<Recorded>,
    pub error: String,
}

/// What a commit achieved.
#[derive(Debug)]
pub(crate) struct Committed {
    pub checkpoint: Checkpoint,
    pub poison: Vec<Poison>,
}

/// Why nothing of a batch was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitFault {
    /// To be tried again as it is.
    #[error(transparent)]
    Passing(rusqlite::Error),
    /// The file has to be made anew.
    #[error(transparent)]
    Corrupt(rusqlite::Error),
    /// The checkpoint was moved by somebody else.
    #[error("somebody else moved the checkpoint")]
    Fenced,
}

/// Why one try to fold events in failed.
enum Failure {
    /// The machinery; says nothing about the events.
    Machine(CommitFault),
    /// The events themselves: they fail every time.
    Events(String),
}

/// Folds a batch in and moves the checkpoint, in one transaction.
///
/// INVARIANT: afterwards either all of it is in the file or nothing is.
pub(crate) fn commit(
    connection: &mut Connection,
    definition: &Definition,
    from: &Checkpoint,
    batch: &Batch,
) -> Result<Committed, CommitFault> {
    let last = batch.events.last().map(|event| (event.position, event.id));
    let checkpoint = Checkpoint { position: batch.to, last: last.or(from.last) };
    let tx = begin(connection, definition, batch.to)?;
    let poison = match fold(&tx, definition, &batch.events) {
        Ok(()) => vec![],
        Err(Failure::Machine(fault)) => return Err(fault),
        Err(Failure::Events(_)) => {
            drop(tx);
            return commit_one_by_one(connection, definition, from, checkpoint, &batch.events);
        }
    };
    finish(tx, definition, from, &checkpoint)?;
    Ok(Committed { checkpoint, poison })
}

/// Folds events in one at a time, each under a savepoint, and sets those aside that fail.
fn commit_one_by_one(
    connection: &mut Connection,
    definition: &Definition,
    from: &Checkpoint,
    checkpoint: Checkpoint,
    events: &[Arc<Recorded>],
) -> Result<Committed, CommitFault> {
    let tx = begin(connection, definition, checkpoint.position)?;
    let mut poison = vec![];
    for event in events {
        tx.execute_batch("SAVEPOINT one").map_err(judge)?;
        match fold(&tx, definition, std::slice::from_ref(event)) {
            Ok(()) => {}
            Err(Failure::Machine(fault)) => return Err(fault),
            Err(Failure::Events(error)) => {
                tx.execute_batch("ROLLBACK TO one").map_err(judge)?;
                catalog::quarantine(&tx, definition.name, event, &error).map_err(judge)?;
                poison.push(Poison { event: event.clone(), error });
            }
        }
        tx.execute_batch("RELEASE one").map_err(judge)?;
    }
    finish(tx, definition, from, &checkpoint)?;
    Ok(Committed { checkpoint, poison })
}

fn begin<'a>(
    connection: &'a mut Connection,
    definition: &Definition,
    to: Position,
) -> Result<Transaction<'a>, CommitFault> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(judge)?;
    changes::mark(&tx, definition.name, to).map_err(judge)?;
    Ok(tx)
}

fn finish(tx: Transaction<'_>, definition: &Definition, from: &Checkpoint, to: &Checkpoint) -> Result<(), CommitFault> {
    if !catalog::advance(&tx, definition.name, from.position, to).map_err(judge)? {
        return Err(CommitFault::Fenced);
    }
    tx.commit().map_err(judge)
}

/// Hands events to the projection. A panic is its fault like any other error: it must not stop the view.
fn fold(tx: &Transaction<'_>, definition: &Definition, events: &[Arc<Recorded>]) -> Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    let error = match catch_unwind(AssertUnwindSafe(|| definition.apply(tx, events))) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(ProjectionFault::Sql(fault))) if trouble(&fault) != Trouble::Lasting => {
            return Err(Failure::Machine(judge(fault)));
        }
        Ok(Err(fault)) => fault.to_string(),
        Err(panic) => format!("panicked: {}", message(panic.as_ref())),
    };
    Err(Failure::Events(error))
}

/// What an error that no event is to blame for means. One that can never pass is treated as passing too: a view that
/// waits and says so is better than one that leaves events out.
fn judge(fault: rusqlite::Error) -> CommitFault {
    match trouble(&fault) {
        Trouble::Corrupt => CommitFault::Corrupt(fault),
        Trouble::Passing | Trouble::Lasting => CommitFault::Passing(fault),
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
