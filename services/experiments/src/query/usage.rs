use cairn_projection::QueryFault;
use rusqlite::{OptionalExtension, params};

use super::Query;
use crate::model::{ExperimentName, ProjectName};

/// Runs that are not deleted, and whose experiments are not; and those of them that are at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCount {
    pub runs: u64,
    pub running: u64,
}

impl Query {
    /// How many runs a project has. Costs the same however many there are.
    pub async fn run_count(&self, project: &ProjectName) -> Result<RunCount, QueryFault> {
        let project = project.project().to_owned();
        let found = self.ask(move |db| {
            db.prepare_cached("SELECT runs, running FROM project_usage WHERE project = ?1")?
                .query_row([project], read)
                .optional()
        });
        Ok(found.await?.unwrap_or_default())
    }

    /// How many runs come back with a deleted experiment. Costs what bringing them back costs.
    pub async fn runs_of_deleted(&self, experiment: &ExperimentName) -> Result<RunCount, QueryFault> {
        let (project, experiment) = (experiment.project().to_owned(), experiment.experiment().to_owned());
        self.ask(move |db| {
            db.prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE r.state = 'RUNNING')
                 FROM experiment e JOIN run r ON r.experiment = e.id
                 WHERE e.project = ?1 AND e.experiment = ?2 AND e.is_deleted AND NOT r.is_deleted",
            )?
            .query_row(params![project, experiment], read)
        })
        .await
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunCount> {
    // A view never counts below nothing.
    Ok(RunCount { runs: row.get::<_, i64>(0)? as u64, running: row.get::<_, i64>(1)? as u64 })
}
