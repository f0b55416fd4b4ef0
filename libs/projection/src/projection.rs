use std::sync::Arc;

use cairn_eventstore::{DecodeFault, Filter, Recorded};
use rusqlite::Transaction;

use crate::Copied;

/// Writes one read model from events.
///
/// Sees each event at least once and in order, and does nothing but write rows: effects belong in a reactor. It must
/// not remember rows between calls either: a transaction that was rolled back takes them with it.
pub trait Projection: Send + Sync + 'static {
    /// Names the view and its shape, e.g. `experiments.runs.v1`. Rename to rebuild from the start.
    const NAME: &'static str;

    /// Statements that create the tables. Run once, on an empty file, and again whenever the view starts over; what
    /// they create belongs to this view and is dropped with it.
    const SCHEMA: &'static str;

    /// Indexes of the schema that only readers need: `apply` is as fast without them. A view that is built from nothing
    /// makes these last, over all rows at once, which costs a fraction of keeping them row by row. A unique index cannot
    /// be one: it is a rule that `apply` relies on.
    const READER_INDEXES: &'static [&'static str] = &[];

    /// Names the view that keeps the past of this one ([`Past`](crate::Past)); by its shape, like [`NAME`](Self::NAME).
    const PAST: Option<&'static str> = None;

    /// How the view is copied elsewhere, where copies are kept. Whoever says nothing keeps it here.
    const COPIED: Option<Copied> = None;

    /// Which events it needs.
    fn filter(&self) -> Filter;

    /// Folds a batch into the tables. The runner commits it together with the checkpoint.
    ///
    /// A batch rather than one event, so that what can be done per batch is not done per event. After a failure the
    /// runner tries the events one by one and quarantines the one that fails.
    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault>;
}

/// Why an event could not be folded in.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionFault {
    #[error(transparent)]
    Decode(#[from] DecodeFault),
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}
