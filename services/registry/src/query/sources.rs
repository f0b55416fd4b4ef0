use cairn_projection::QueryFault;
use rusqlite::{OptionalExtension, params};

use super::Query;
use crate::model::ProjectName;

/// A run that a version may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRun {
    pub experiment: String,
    /// Where its files are. Empty: where the server keeps artifacts.
    pub location: String,
}

/// A logged model that a version may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceModel {
    pub experiment: String,
    /// Id of the run that made it.
    pub run: String,
    /// Where its files are. Empty: where the server keeps artifacts.
    pub location: String,
}

impl Query {
    /// A run of a project, by its id.
    pub async fn source_run(&self, project: &ProjectName, run: &str) -> Result<Option<SourceRun>, QueryFault> {
        let (project, run) = (project.project().to_owned(), run.to_owned());
        self.ask(move |db| {
            db.prepare_cached("SELECT experiment, location FROM source_run WHERE project = ?1 AND run = ?2")?
                .query_row(params![project, run], |row| {
                    Ok(SourceRun { experiment: row.get(0)?, location: row.get(1)? })
                })
                .optional()
        })
        .await
    }

    /// A logged model of a project, by its id.
    pub async fn source_model(&self, project: &ProjectName, model: &str) -> Result<Option<SourceModel>, QueryFault> {
        let (project, model) = (project.project().to_owned(), model.to_owned());
        self.ask(move |db| {
            db.prepare_cached("SELECT experiment, run, location FROM source_model WHERE project = ?1 AND model = ?2")?
                .query_row(params![project, model], |row| {
                    Ok(SourceModel { experiment: row.get(0)?, run: row.get(1)?, location: row.get(2)? })
                })
                .optional()
        })
        .await
    }
}
