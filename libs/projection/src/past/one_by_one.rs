use std::slice;
use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded};
use rusqlite::Transaction;

use crate::ProjectionFault;
use crate::definition::Fold;

/// Folds events in one at a time, each at its own position: what a batch would only be between two of them was a state
/// that somebody could have seen.
pub(crate) struct OneByOne(pub Arc<dyn Fold>);

impl Fold for OneByOne {
    fn filter(&self) -> Filter {
        self.0.filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for event in events {
            // The triggers read it.
            tx.prepare_cached(
                "INSERT INTO past_clock (id, position) VALUES (1, ?1)
                 ON CONFLICT DO UPDATE SET position = excluded.position",
            )?
            .execute([event.position.0.cast_signed()])?;
            self.0.apply(tx, slice::from_ref(event))?;
        }
        Ok(())
    }
}
