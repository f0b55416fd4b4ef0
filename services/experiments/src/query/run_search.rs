use cairn_search::{Sql, fingerprint, marks, token};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::run_plan::hits;
use super::runs::{RunDetail, read_run};
use super::{LifecycleFilter, Query, RunRecord, SearchError, Visible};
use crate::model::ProjectName;
use crate::search::{Ordered, RunCondition, RunOrder};

/// Which runs, in which order, and where to begin.
#[derive(Clone, Debug)]
pub struct RunSearch {
    pub project: ProjectName,
    /// Ids of experiments. `None`: all of the project.
    pub experiments: Option<Vec<String>>,
    pub visible: Visible,
    pub lifecycle: LifecycleFilter,
    /// Leave out runs nested in a deleted one.
    pub skips_hidden: bool,
    /// Only runs nested directly in this one, by id.
    pub parent: Option<String>,
    pub filter: Vec<RunCondition>,
    pub order: Vec<Ordered<RunOrder>>,
    pub limit: usize,
    pub page_token: String,
    pub detail: RunDetail,
    /// A condition that so many runs satisfy, or fewer, drives the search. Changes how long it takes, and nothing else.
    pub driver_rows_max: usize,
    /// Whether statements may say which index to use: the tables of the past have others.
    pub names_indexes: bool,
}

/// Few enough runs to look at each of them.
const DRIVER_ROWS_MAX: usize = 5000;

/// A page of runs.
#[derive(Clone, Debug, Default)]
pub struct RunPage {
    pub runs: Vec<RunRecord>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

impl RunSearch {
    /// All active runs of a project, newest first.
    pub fn new(project: ProjectName) -> Self {
        Self {
            project,
            experiments: None,
            visible: Visible::all(),
            lifecycle: LifecycleFilter::Active,
            skips_hidden: true,
            parent: None,
            filter: vec![],
            order: vec![],
            limit: 100,
            page_token: String::new(),
            detail: RunDetail::Listed,
            driver_rows_max: DRIVER_ROWS_MAX,
            names_indexes: true,
        }
    }

    /// Names what is asked for, whatever the page.
    fn fingerprint(&self) -> String {
        let Self { project, experiments, lifecycle, skips_hidden, parent, filter, order, .. } = self;
        fingerprint(&(project, experiments, lifecycle, skips_hidden, parent, filter, order))
    }
}

/// The experiments a search looks in, by row.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) experiments: Vec<i64>,
    /// Whether these are all of the project.
    pub(super) is_project: bool,
}

impl Query {
    /// Finds runs.
    pub async fn search_runs(&self, search: RunSearch) -> Result<RunPage, SearchError> {
        let search = RunSearch { names_indexes: !self.is_past, ..search };
        let fingerprint = search.fingerprint();
        let start = marks(&fingerprint, &search.page_token)?;
        let page = self
            .ask(move |db| {
                let scope = scope(db, &search)?;
                let mut hits = hits(db, &search, &scope, start.as_deref(), search.limit + 1)?;
                let has_more = hits.len() > search.limit;
                hits.truncate(search.limit);
                let next_page_token = match hits.last() {
                    Some(last) if has_more => token(&fingerprint, last.marks.clone()),
                    _ => String::new(),
                };
                let runs = hits.iter().map(|hit| read_run(db, hit.id, search.detail)).collect::<Result<_, _>>()?;
                Ok(RunPage { runs, next_page_token })
            })
            .await?;
        Ok(page)
    }
}

/// A run found, and what the next page would continue from.
pub(super) struct Hit {
    pub(super) id: i64,
    pub(super) marks: Vec<Value>,
}

fn scope(db: &Connection, search: &RunSearch) -> rusqlite::Result<Scope> {
    let mut sql = Sql::default();
    sql.push("SELECT id FROM experiment WHERE project = ").bind(search.project.project().to_owned());
    if let Some(experiments) = &search.experiments {
        sql.push(" AND experiment IN ").list(experiments);
    }
    let experiments = sql.rows(db, |row| row.get(0))?;
    Ok(Scope { experiments, is_project: search.experiments.is_none() })
}
