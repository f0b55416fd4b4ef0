use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_kernel::{Position, Time};
use cairn_points::{Batch, Checkpoint, Engine, EngineFault, Row, Series, Tenure};
use cairn_postgres::{DialFault, Dialer, Link, Parameters, Pool, PoolFault, Size, said};
use metrics::histogram;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::tables::Statements;

/// How to reach the database, and how much of it to use.
#[derive(Clone)]
pub struct Config {
    /// `postgres://user:password@host/database`.
    pub url: String,
    /// The schema of the tables.
    pub schema: String,
    /// Connections for reading, how many more for a while, and how long one waits for one.
    pub connections: usize,
    pub overflow: usize,
    pub acquire: Duration,
    /// Longest wait for an answer.
    pub patience: Duration,
}

/// Points in a database of PostgreSQL.
pub struct PostgresPoints {
    dialer: Arc<Dialer>,
    pool: Pool,
    sql: Statements,
    patience: Duration,
    /// The connection for writing.
    writer: Mutex<Option<Link>>,
}

impl PostgresPoints {
    /// Connects when it is first asked for something. Fails if the URL is none, and says why without it.
    pub fn new(config: &Config) -> Result<Self, String> {
        let dialer = Arc::new(Dialer::new(&config.url, config.patience)?);
        let size = Size {
            kept: config.connections,
            overflow: config.overflow,
            acquire: config.acquire,
            statement: config.patience,
        };
        let pool = Pool::new(Arc::clone(&dialer), size, histogram!("cairn_metric_store_read_seconds"));
        let sql = Statements::new(&config.schema);
        Ok(Self { dialer, pool, sql, patience: config.patience, writer: Mutex::default() })
    }

    /// Does something on the connection for writing, which is given up if it fails.
    async fn on_writer<T, F>(&self, work: impl FnOnce(Link) -> F + Send) -> Result<T, EngineFault>
    where
        F: Future<Output = Result<(Link, T), EngineFault>> + Send,
    {
        let mut writer = self.writer.lock().await;
        let link = match writer.take().filter(|link| !link.is_closed()) {
            Some(link) => link,
            None => self.dialer.dial().await.map_err(no_way_in)?,
        };
        // Dropped when it is late, the connection ends and its transaction with it.
        let done = timeout(self.patience, work(link)).await;
        let (link, answer) = done.map_err(|_| late(self.patience))??;
        *writer = Some(link);
        Ok(answer)
    }

    async fn read(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<tokio_postgres::Row>, EngineFault> {
        self.pool.query(sql, parameters).await.map_err(|fault| match fault {
            PoolFault::Failed(error) => failed(&error),
            PoolFault::Exhausted { .. } => EngineFault::Exhausted(fault.to_string()),
            fault => EngineFault::Away(fault.to_string()),
        })
    }

    async fn rows(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, EngineFault> {
        let row = |row: &tokio_postgres::Row| {
            Ok(Row { step: row.try_get(0)?, time_ms: row.try_get(1)?, value: row.try_get(2)? })
        };
        self.read(sql, parameters).await?.iter().map(row).collect::<Result<_, Error>>().map_err(|error| failed(&error))
    }
}

fn no_way_in(fault: DialFault) -> EngineFault {
    match fault {
        DialFault::Unreachable(why) => EngineFault::Away(why),
        DialFault::Refused(why) | DialFault::Unsuitable(why) => EngineFault::Unsuitable(why),
    }
}

fn failed(error: &Error) -> EngineFault {
    match error.code() {
        Some(code) if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME => {
            EngineFault::Away("its tables are not there yet".to_owned())
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => EngineFault::Unsuitable(said(error)),
        _ => EngineFault::Away(said(error)),
    }
}

fn late(patience: Duration) -> EngineFault {
    EngineFault::Away(format!("no answer within {} ms", patience.as_millis()))
}

fn number(position: Position) -> i64 {
    position.0.cast_signed()
}

fn checkpoint(row: &tokio_postgres::Row) -> Result<Checkpoint, Error> {
    Ok(Checkpoint {
        position: Position(row.try_get::<_, i64>(0)?.cast_unsigned()),
        event: row.try_get(1)?,
        time: Time::from_micros(row.try_get(2)?),
    })
}

/// A process that stands still in the middle of a transaction would otherwise keep all others from taking over.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Points by column, and the series that they name.
#[derive(Default)]
struct Columns<'a> {
    projects: Vec<&'a str>,
    runs: Vec<&'a str>,
    metrics: Vec<&'a str>,
    /// Index of the series that each point is of.
    series: Vec<usize>,
    times: Vec<i64>,
    steps: Vec<i64>,
    values: Vec<f64>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a Batch) -> Self {
        let mut columns = Self::default();
        for entry in &batch.entries {
            let first = columns.metrics.len();
            for metric in &entry.metrics {
                columns.projects.push(&entry.project);
                columns.runs.push(&entry.run);
                columns.metrics.push(metric);
            }
            for (metric, row) in &entry.points {
                columns.series.push(first + *metric as usize);
                columns.times.push(row.time_ms);
                columns.steps.push(row.step);
                columns.values.push(row.value);
            }
        }
        columns
    }
}

/// Writes a batch in one transaction. `false`: somebody else has moved the checkpoint, and nothing was written.
async fn write(link: &Link, sql: &Statements, tenure: Tenure, batch: &Batch) -> Result<bool, Error> {
    let (from, to) = (number(batch.from.position), number(batch.to.position));
    let (tenure, time) = (tenure.0.cast_signed(), batch.to.time.micros());
    link.batch_execute(BEGIN).await?;
    // First, so that whoever else writes waits here and not in the middle.
    let advance: &Parameters<'_> = &[
        (&tenure, Type::INT8),
        (&from, Type::INT8),
        (&to, Type::INT8),
        (&batch.to.event, Type::UUID),
        (&time, Type::INT8),
    ];
    if link.execute_typed(&sql.advance, advance).await? == 0 {
        link.batch_execute("ROLLBACK").await?;
        return Ok(false);
    }
    let columns = Columns::of(batch);
    if !columns.values.is_empty() {
        let names: &Parameters<'_> = &[
            (&columns.projects, Type::TEXT_ARRAY),
            (&columns.runs, Type::TEXT_ARRAY),
            (&columns.metrics, Type::TEXT_ARRAY),
        ];
        link.execute_typed(&sql.name_series, names).await?;
        let found = link.query_typed(&sql.find_series, names).await?;
        let ids = found.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, Error>>()?;
        let series: Vec<i64> = columns.series.iter().map(|at| ids[*at]).collect();
        let points: &Parameters<'_> = &[
            (&series, Type::INT8_ARRAY),
            (&columns.times, Type::INT8_ARRAY),
            (&columns.steps, Type::INT8_ARRAY),
            (&columns.values, Type::FLOAT8_ARRAY),
        ];
        link.execute_typed(&sql.insert, points).await?;
    }
    link.batch_execute("COMMIT").await?;
    Ok(true)
}

#[async_trait]
impl Engine for PostgresPoints {
    fn kind(&self) -> &'static str {
        "PostgreSQL"
    }

    fn place(&self) -> String {
        format!("PostgreSQL at {}", self.dialer.place())
    }

    async fn prepare(&self) -> Result<(), EngineFault> {
        self.on_writer(|link| async {
            self.sql.prepare(&link).await.map_err(|error| failed(&error))??;
            Ok((link, ()))
        })
        .await
    }

    async fn checkpoint(&self) -> Result<Checkpoint, EngineFault> {
        let rows = self.read(&self.sql.checkpoint, &[]).await?;
        let gone = || EngineFault::Unsuitable("the row of its checkpoint is gone".to_owned());
        checkpoint(rows.first().ok_or_else(gone)?).map_err(|error| failed(&error))
    }

    async fn take_over(&self) -> Result<(Tenure, Checkpoint), EngineFault> {
        self.on_writer(|link| async {
            let row = link.query_typed_one(&self.sql.take_over, &[]).await.map_err(|error| failed(&error))?;
            let read = || Ok((Tenure(row.try_get::<_, i64>(3)?.cast_unsigned()), checkpoint(&row)?));
            let taken = read().map_err(|error: Error| failed(&error))?;
            Ok((link, taken))
        })
        .await
    }

    async fn write(&self, tenure: Tenure, batch: &Batch) -> Result<(), EngineFault> {
        self.on_writer(|link| async {
            match write(&link, &self.sql, tenure, batch).await {
                Ok(true) => Ok((link, ())),
                Ok(false) => Err(EngineFault::Fenced),
                Err(error) => Err(failed(&error)),
            }
        })
        .await
    }

    async fn history(&self, series: Series<'_>, after: Option<Row>, limit: usize) -> Result<Vec<Row>, EngineFault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let named: &Parameters<'_> = &[
            (&series.project, Type::TEXT),
            (&series.run, Type::TEXT),
            (&series.metric, Type::TEXT),
            (&limit, Type::INT8),
        ];
        let Some(after) = after else { return self.rows(&self.sql.history, named).await };
        let place: &Parameters<'_> =
            &[(&after.time_ms, Type::INT8), (&after.step, Type::INT8), (&after.value, Type::FLOAT8)];
        self.rows(&self.sql.history_after, &[named, place].concat()).await
    }

    async fn by_step(&self, series: Series<'_>, steps: RangeInclusive<i64>) -> Result<Vec<Row>, EngineFault> {
        let parameters: &Parameters<'_> = &[
            (&series.project, Type::TEXT),
            (&series.run, Type::TEXT),
            (&series.metric, Type::TEXT),
            (steps.start(), Type::INT8),
            (steps.end(), Type::INT8),
        ];
        self.rows(&self.sql.by_step, parameters).await
    }
}
