//! Writes the read models of this service, all in one file and one transaction.

mod batch;
mod experiments;
mod logged_models;
mod runs;

use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::Aggregate;
use cairn_projection::{Copied, Projection, ProjectionFault};
use rusqlite::Transaction;

use self::batch::Batch;
use crate::model::{Experiment, LoggedModel, Run};

/// Experiments, runs, what they logged, and logged models.
#[derive(Clone, Copy, Debug, Default)]
pub struct Views;

/// The same without points, which another store keeps: what a series comes to is here. A name of its own, so that whichever of
/// the two is started next to the other's tables begins anew.
#[derive(Clone, Copy, Debug, Default)]
pub struct ViewsWithoutPoints;

const SCHEMA: &str = include_str!("schema.sql");

/// Points are packed, and nobody can read them with SQL; nor what a repeated batch is answered with.
const COPIED: Option<Copied> = Some(Copied {
    left_out: &["metric_tail", "metric_chunk", "ingest_batch"],
    renamed: &[],
    readable: include_str!("readable.sql"),
});

/// Runs are looked up by start (deleting an experiment) and by parent (hiding nested runs) here too.
const READER_INDEXES: &[&str] = &[
    "run_by_project_start",
    "run_by_state",
    "run_by_display_name",
    "param_by_value",
    "tag_by_value",
    "metric_by_value",
    "metric_chunk_by_time",
];

impl Projection for Views {
    const NAME: &'static str = "experiments.v3";
    const PAST: Option<&'static str> = Some("experiments.v3.past");
    const SCHEMA: &'static str = SCHEMA;
    const COPIED: Option<Copied> = COPIED;
    const READER_INDEXES: &'static [&'static str] = READER_INDEXES;

    fn filter(&self) -> Filter {
        filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        apply(Batch::new(tx, true), events)
    }
}

impl Projection for ViewsWithoutPoints {
    const NAME: &'static str = "experiments.v3.without_points";
    const SCHEMA: &'static str = SCHEMA;
    const COPIED: Option<Copied> = COPIED;
    const READER_INDEXES: &'static [&'static str] = READER_INDEXES;

    fn filter(&self) -> Filter {
        filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        apply(Batch::new(tx, false), events)
    }
}

fn filter() -> Filter {
    Filter::categories([Experiment::CATEGORY, Run::CATEGORY, LoggedModel::CATEGORY])
}

fn apply(mut batch: Batch<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
    for recorded in events {
        match recorded.stream.category() {
            Experiment::CATEGORY => {
                let event = Experiment::decode(&recorded.kind, &recorded.payload)?;
                experiments::apply(&mut batch, recorded, &event)?;
            }
            Run::CATEGORY => {
                let event = Run::decode(&recorded.kind, &recorded.payload)?;
                runs::apply(&mut batch, recorded, &event)?;
            }
            _ => {
                let event = LoggedModel::decode(&recorded.kind, &recorded.payload)?;
                logged_models::apply(&batch, recorded, &event)?;
            }
        }
    }
    Ok(batch.flush()?)
}
