use std::collections::BTreeMap;

use cairn_projection::QueryFault;
use rusqlite::{Connection, params};

use super::Query;
use crate::model::ProjectName;

/// What a project has registered, prompts left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub models: u32,
    pub versions: u32,
    pub by_stage: BTreeMap<String, u32>,
    pub by_framework: BTreeMap<String, u32>,
    pub aliases: u32,
    pub pending_promotions: u32,
}

impl Query {
    /// Counts what a project has registered. `now_us` decides which promotions still wait.
    pub async fn summary(&self, project: &ProjectName, now_us: i64) -> Result<Summary, QueryFault> {
        let project = project.project().to_owned();
        self.ask(move |db| {
            let count = |sql: &str| db.prepare_cached(sql)?.query_row([&project], |row| row.get(0));
            Ok(Summary {
                models: count("SELECT count(*) FROM model WHERE project = ?1 AND is_prompt = 0")?,
                versions: count("SELECT count(*) FROM version WHERE project = ?1 AND is_prompt = 0")?,
                by_stage: counts(db, &project, "lower(stage)")?,
                by_framework: counts(db, &project, "iif(framework = '', 'unknown', framework)")?,
                aliases: count(
                    "SELECT count(*) FROM model m JOIN alias a ON a.model = m.id WHERE m.project = ?1 AND m.is_prompt = 0",
                )?,
                pending_promotions: db
                    .prepare_cached(
                        "SELECT count(*) FROM promotion WHERE project = ?1 AND state = 'PENDING' AND expire_us > ?2",
                    )?
                    .query_row(params![project, now_us], |row| row.get(0))?,
            })
        })
        .await
    }
}

fn counts(db: &Connection, project: &str, by: &'static str) -> rusqlite::Result<BTreeMap<String, u32>> {
    db.prepare_cached(&format!("SELECT {by}, count(*) FROM version WHERE project = ?1 AND is_prompt = 0 GROUP BY 1"))?
        .query_map([project], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
