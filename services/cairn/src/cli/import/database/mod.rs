//! MLflow's database in an SQLite file, and the artifacts in folders beside it, without a server.
//!
//! One connection reads in one transaction that is open until the end: whatever a server writes meanwhile, the import sees
//! the database as it was at the beginning. Nothing is written to it.

mod artifacts;
mod lists;
mod places;
mod row;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use reqwest::Body;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::{Value, json};

use self::artifacts::Root;
use self::row::{Page, Query};
use super::files::Place;
use super::pairs::text;
use super::source::FOLDER;
use crate::cli::exit::{Missing, Unusable};

/// How long a writer may be in the way of the first look.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// Items of a page: of things that have much with them, and of points.
const ITEMS: usize = 100;
const POINTS: usize = 5000;

/// More than there are queries: each is made once.
const STATEMENTS: usize = 64;

pub struct Database {
    connection: Arc<Mutex<Connection>>,
    name: String,
    /// The folder that a server handed artifacts out from.
    served: Option<PathBuf>,
}

/// A list that comes in pages.
pub struct Pages<'a> {
    database: &'a Database,
    query: &'static Query,
    of: String,
    size: usize,
    /// Where the last page ended; `None` when there is no more.
    after: Option<i64>,
}

impl Database {
    /// Opens the file and begins to read it. It must be a database of MLflow with a schema that is known.
    pub async fn open(file: PathBuf, served: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(served) = served.filter(|served| !served.is_dir()) {
            return Err(Missing(format!("--artifacts {}: there is no such folder", served.display())).into());
        }
        let served = served.map(Path::to_owned);
        tokio::task::spawn_blocking(move || Self::begin(&file, served))
            .await
            .context("the reader of the database ended")?
    }

    fn begin(file: &Path, served: Option<PathBuf>) -> anyhow::Result<Self> {
        if file.is_dir() {
            return Err(Unusable(format!("--from {} {FOLDER}", file.display())).into());
        }
        // The same file is the same source by whatever path it is named.
        let file = file.canonicalize().map_err(|fault| match fault.kind() {
            std::io::ErrorKind::NotFound => Missing(format!("--from {}: there is no such file", file.display())).into(),
            _ => anyhow::Error::new(fault).context(format!("cannot read {}", file.display())),
        })?;
        let connection = (|| {
            let connection =
                Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY_MAX)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            // The file may be anybody's.
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        })();
        let connection = connection.map_err(|fault| schema::unreadable(&file, fault))?;
        schema::check(&connection, &file)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), name: format!("sqlite:///{}", file.display()), served })
    }

    /// What it is called where things say that they come from it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub async fn check(&self, experiments: &[String]) -> anyhow::Result<()> {
        let (wanted, served) = (json!(experiments).to_string(), self.served.is_some());
        let places = self.read(move |connection| places::of(connection, &wanted)).await?;
        places.check(served)
    }

    pub async fn beyond(&self) -> anyhow::Result<Vec<(String, String)>> {
        let served = self.served.clone();
        let mut beyond = self.read(places::other_workspaces).await?;
        beyond.extend(self.read(move |connection| places::models_without_files(connection, served.as_deref())).await?);
        Ok(beyond)
    }

    pub fn experiments(&self) -> Pages<'_> {
        self.pages(&lists::EXPERIMENTS, "", ITEMS)
    }

    pub fn runs(&self, experiment: &str) -> Pages<'_> {
        self.pages(&lists::RUNS, experiment, ITEMS)
    }

    pub fn points(&self, run: &Value) -> Pages<'_> {
        self.pages(&lists::POINTS, text(&run["info"]["run_id"]), POINTS)
    }

    pub async fn model_inputs(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        let run = rusqlite::types::Value::from(run.to_owned());
        self.read(move |connection| lists::MODEL_INPUTS.all(connection, &run)).await
    }

    pub fn logged_models(&self, experiment: &str) -> Pages<'_> {
        self.pages(&lists::LOGGED_MODELS, experiment, ITEMS)
    }

    pub fn registered_models(&self) -> Pages<'_> {
        self.pages(&lists::REGISTERED_MODELS, "", ITEMS)
    }

    pub fn versions(&self, model: &str) -> Pages<'_> {
        self.pages(&lists::VERSIONS, model, ITEMS)
    }

    pub async fn folder(&self, place: Place<'_>, folder: &str) -> anyhow::Result<Vec<Value>> {
        let Some(root) = self.root(place).await? else { return Ok(vec![]) };
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || artifacts::list(&root, &folder))
            .await
            .context("the reader of a folder ended")?
    }

    pub async fn file(&self, place: Place<'_>, path: &str) -> anyhow::Result<Body> {
        let root = self.root(place).await?.context("it has no place for artifacts")?;
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || artifacts::open(&root, &path)).await;
        Ok(Body::from(tokio::fs::File::from_std(opened.context("the reader of a file ended")??)))
    }

    pub async fn has_traces(&self, experiment: &str) -> anyhow::Result<bool> {
        let experiment = experiment.to_owned();
        let sql = "SELECT EXISTS (SELECT 1 FROM trace_info WHERE experiment_id = ?1)";
        self.read(move |connection| connection.query_row(sql, [experiment], |row| row.get(0))).await
    }

    /// The folder of artifacts of a run or logged model, if its row names a place.
    async fn root(&self, place: Place<'_>) -> anyhow::Result<Option<PathBuf>> {
        let (sql, id) = match place {
            Place::Run(run) => ("SELECT artifact_uri FROM runs WHERE run_uuid = ?1", run.to_owned()),
            Place::Model(model) => {
                ("SELECT artifact_location FROM logged_models WHERE model_id = ?1", model.to_owned())
            }
        };
        let uri = self
            .read(move |connection| {
                let mut statement = connection.prepare_cached(sql)?;
                statement.query_row([id], |row| row.get::<_, Option<String>>(0)).optional()
            })
            .await?;
        let uri = uri.flatten().filter(|uri| !uri.is_empty());
        uri.map(|uri| Root::parse(&uri).folder(self.served.as_deref())).transpose()
    }

    fn pages(&self, query: &'static Query, of: &str, size: usize) -> Pages<'_> {
        Pages { database: self, query, of: of.to_owned(), size, after: Some(i64::MIN) }
    }

    /// Reads without holding up what else is under way.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = self.connection.clone();
        let done = tokio::task::spawn_blocking(move || read(&connection.lock())).await;
        done.context("the reader of the database ended")?.with_context(|| format!("cannot read {}", self.name))
    }
}

impl Pages<'_> {
    /// The next page; `None` when there is none.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        let Some(after) = self.after else { return Ok(None) };
        let (query, of, size) = (self.query, self.of.clone(), self.size);
        let Page { items, last } =
            self.database.read(move |connection| query.page(connection, &of, after, size)).await?;
        self.after = last.filter(|_| items.len() == size);
        Ok(Some(items))
    }
}
