use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_kernel::{Position, Time};
use cairn_points::{Batch, Checkpoint, Engine, EngineFault, Entry, Row, Series, Tenure};
use time::OffsetDateTime;
use tracing::info;

use crate::Address;
use crate::client::{Client, Fault, TABLE_EXISTS, UNKNOWN_TABLE};
use crate::rows::{self, COLUMNS, seconds};
use crate::sql::{int64, is_after, text};
use crate::tables::{FENCE, create, create_over, drop_fence, summed};

/// One ClickHouse among those that points are divided among.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub number: usize,
    pub of: usize,
    /// What the servers call themselves together in their own configuration, for a table over all of them.
    pub cluster: Option<String>,
}

impl Default for Place {
    /// The only one.
    fn default() -> Self {
        Self { number: 0, of: 1, cluster: None }
    }
}

/// Points in a ClickHouse.
pub struct ClickHousePoints {
    client: Client,
    place: Place,
    /// The first number of the server's version, once it is known.
    server_major: AtomicU32,
}

/// Where points lie that the checkpoint does not know of.
struct Behind {
    to: Position,
    /// SQL that finds them.
    condition: String,
}

impl ClickHousePoints {
    /// Connects when it is first asked for something. `patience` is the longest wait for an answer.
    pub fn new(address: Address, patience: Duration) -> Result<Self, String> {
        Self::at(address, Place::default(), patience)
    }

    /// The same for one of several.
    pub fn at(address: Address, place: Place, patience: Duration) -> Result<Self, String> {
        address.check()?;
        Ok(Self { client: Client::new(address, patience)?, place, server_major: AtomicU32::new(0) })
    }

    async fn lines(&self, sql: &str) -> Result<Vec<Vec<String>>, Fault> {
        let answer = self.client.run(&format!("{sql} FORMAT TabSeparated")).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Ok(answer.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    async fn number(&self, sql: &str) -> Result<u64, Fault> {
        let lines = self.lines(sql).await?;
        let found = lines.first().and_then(|line| line.first()).and_then(|number| number.parse().ok());
        found.ok_or_else(|| Fault::Away("its answer is no number".to_owned()))
    }

    /// Numbers of the fences that stand.
    async fn fences(&self) -> Result<Vec<u64>, Fault> {
        let sql = format!(
            "SELECT name FROM system.tables WHERE database = {} AND startsWith(name, '{FENCE}')",
            text(&self.client.address().database)
        );
        let names = self.lines(&sql).await?;
        let numbers = names.iter().filter_map(|line| line.first()?.strip_prefix(FENCE)?.parse().ok());
        Ok(numbers.collect())
    }

    /// Puts up a fence of our own and takes down all others.
    async fn fence(&self) -> Result<u64, EngineFault> {
        let others = self.fences().await?;
        let ours = others.iter().max().map_or(1, |last| last + 1);
        let sql = format!("CREATE TABLE {FENCE}{ours} (nothing UInt8) ENGINE = TinyLog");
        match self.client.run(&sql).await {
            Err(Fault::Refused(TABLE_EXISTS, _)) => return Err(EngineFault::Fenced),
            done => drop(done?),
        }
        // While we were slow, others may have come and gone, and their numbers with them. The highest one stands until a
        // higher one does.
        let major = self.server_major.load(Ordering::Relaxed);
        if self.fences().await?.iter().any(|other| *other > ours) {
            self.client.run(&drop_fence(ours, major)).await?;
            return Err(EngineFault::Fenced);
        }
        for other in others {
            self.client.run(&drop_fence(other, major)).await?;
        }
        Ok(ours)
    }

    /// Finds what was stored after the checkpoint was: the last block, if its writer ended before it could say so.
    async fn behind(&self, known: &Checkpoint) -> Result<Option<Behind>, Fault> {
        let condition = format!("position > {} AND logged >= toDateTime({})", known.position.0, seconds(known.time));
        // Not `max`, which is 0 for none.
        let sql = format!("SELECT position FROM metrics WHERE {condition} ORDER BY position DESC LIMIT 1");
        let found = self.lines(&sql).await?.first().and_then(|line| line.first()?.parse().ok());
        Ok(found.map(|to| Behind { to: Position(to), condition }))
    }

    /// Whether the summary has taken a block in: it is there whole or not at all, so one series tells.
    async fn is_summed(&self, block: &Behind) -> Result<bool, Fault> {
        let one = format!(
            "SELECT run, name, project FROM metrics WHERE {} AND position = {} LIMIT 1",
            block.condition, block.to.0
        );
        let seen = format!(
            "SELECT maxMerge(position_state) FROM metrics_summary_states WHERE (run, name, project) IN ({one})"
        );
        Ok(self.number(&seen).await? >= block.to.0)
    }

    /// Sums up a block that the summary has missed.
    async fn sum(&self, fence: u64, block: &Behind) -> Result<(), Fault> {
        let points = format!("(SELECT * FROM metrics WHERE {}) AS block", block.condition);
        let sql = format!(
            "INSERT INTO metrics_summary_states SELECT {SUMMARY} FROM (SELECT count() AS fence FROM {FENCE}{fence}) AS fenced \
             CROSS JOIN ({}) AS summed",
            summed(&points)
        );
        self.client.run(&sql).await.map(drop)
    }

    /// Notes which of how many this one is, or sees that it still is: what lies where depends on it.
    async fn keep_place(&self) -> Result<(), EngineFault> {
        let Place { number, of, .. } = &self.place;
        let known = self.lines("SELECT DISTINCT number, shards FROM metrics_shard").await?;
        if known.is_empty() {
            let sql = format!("INSERT INTO metrics_shard (number, shards) VALUES ({number}, {of})");
            self.client.run(&sql).await?;
        } else if known != [[number.to_string(), of.to_string()]] {
            let known: Vec<String> = known.iter().map(|place| place.join(" of ")).collect();
            return Err(EngineFault::Unsuitable(format!(
                "METRIC_STORE_FOREIGN: it has been number {} and is named as {number} of {of}, counted from 0: name all \
                 servers in their order, or remove the tables on all of them",
                known.join(", ")
            )));
        }
        Ok(())
    }

    async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let event = checkpoint.event.map(|event| event.to_string()).unwrap_or_default();
        let sql = format!(
            "INSERT INTO metrics_checkpoint (id, position, event, time) VALUES (1, {}, '{event}', {})",
            checkpoint.position.0,
            checkpoint.time.micros()
        );
        self.client.run(&sql).await.map(drop)
    }

    async fn rows(&self, sql: &str) -> Result<Vec<Row>, EngineFault> {
        rows::read(&self.client.run(sql).await?)
    }
}

/// The columns of the summary, in the order of its table.
const SUMMARY: &str = "project, run, name, min_state, max_state, mean_state, numbers_state, last_state, count_state, \
     position_state";

/// The partition that an event's points go to.
fn month(time: Time) -> (i32, u8) {
    let moment = OffsetDateTime::from_unix_timestamp(seconds(time).into()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (moment.year(), moment.month().into())
}

/// What points of a series are found by.
fn of(series: Series<'_>) -> String {
    let Series { project, run, metric } = series;
    format!("run = {} AND name = {} AND project = {}", text(run), text(metric), text(project))
}

/// Whoever wrote before, or after: our fence is gone.
fn fenced(fault: Fault) -> EngineFault {
    match fault {
        Fault::Refused(UNKNOWN_TABLE, said) if said.contains(FENCE) => EngineFault::Fenced,
        fault => fault.into(),
    }
}

#[async_trait]
impl Engine for ClickHousePoints {
    fn kind(&self) -> &'static str {
        "ClickHouse"
    }

    fn place(&self) -> String {
        format!("ClickHouse at {}", self.client.address())
    }

    async fn prepare(&self) -> Result<(), EngineFault> {
        let version = self.client.run_anywhere("SELECT version() FORMAT TabSeparated").await?;
        let version = String::from_utf8_lossy(&version).into_owned();
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        let strange = || EngineFault::Unsuitable("what answers there says no version of ClickHouse".to_owned());
        self.server_major.store(major.ok_or_else(strange)?, Ordering::Relaxed);
        // Whoever may not make a database was given one; otherwise the tables cannot be made either.
        let made = format!("CREATE DATABASE IF NOT EXISTS {}", self.client.address().database);
        if let Err(fault @ Fault::Away(_)) = self.client.run_anywhere(&made).await {
            return Err(fault.into());
        }
        for table in create() {
            self.client.run(&table).await?;
        }
        self.keep_place().await?;
        match &self.place.cluster {
            Some(cluster) => {
                let table = create_over(cluster, &self.client.address().database);
                self.client.run(&table).await.map(drop).map_err(|fault| EngineFault::Unsuitable(fault.said()))
            }
            None => Ok(()),
        }
    }

    async fn checkpoint(&self) -> Result<Checkpoint, EngineFault> {
        let sql = "SELECT position, event, time FROM metrics_checkpoint ORDER BY position DESC LIMIT 1";
        let lines = self.lines(sql).await?;
        let Some([position, event, time]) = lines.first().map(Vec::as_slice) else { return Ok(Checkpoint::default()) };
        let strange = |_| EngineFault::Unsuitable("its checkpoint cannot be read".to_owned());
        Ok(Checkpoint {
            position: Position(position.parse().map_err(strange)?),
            event: event.parse().ok(),
            time: Time::from_micros(time.parse().map_err(strange)?),
        })
    }

    async fn take_over(&self) -> Result<(Tenure, Checkpoint), EngineFault> {
        let fence = self.fence().await?;
        let known = self.checkpoint().await?;
        let Some(block) = self.behind(&known).await? else { return Ok((Tenure(fence), known)) };
        if !self.is_summed(&block).await? {
            self.sum(fence, &block).await.map_err(fenced)?;
        }
        info!(position = block.to.0, "points were stored whose checkpoint was not");
        // Its event is named when the next block is.
        let found = Checkpoint { position: block.to, event: None, time: known.time };
        self.keep_checkpoint(&found).await?;
        Ok((Tenure(fence), found))
    }

    async fn write(&self, tenure: Tenure, batch: &Batch) -> Result<(), EngineFault> {
        let sql = format!(
            "INSERT INTO metrics ({COLUMNS}) SELECT {COLUMNS} FROM (SELECT count() AS fence FROM {FENCE}{}) AS fenced \
             CROSS JOIN batch",
            tenure.0
        );
        // The oldest servers have no such setting, and one thread.
        let alone = self.server_major.load(Ordering::Relaxed) > 20;
        let blocks: Vec<&[Entry]> = batch.entries.chunk_by(|a, b| month(a.time) == month(b.time)).collect();
        for (at, block) in blocks.iter().enumerate() {
            self.client.run_with(&sql, rows::written(block), alone).await.map_err(fenced)?;
            if let (Some(last), true) = (block.last(), at + 1 < blocks.len()) {
                let reached = Checkpoint { position: last.position, event: Some(last.event), time: last.time };
                self.keep_checkpoint(&reached).await?;
            }
        }
        // Needs no fence: that points up to here are stored stays true whoever says it.
        Ok(self.keep_checkpoint(&batch.to).await?)
    }

    async fn history(&self, series: Series<'_>, after: Option<Row>, limit: usize) -> Result<Vec<Row>, EngineFault> {
        let after = after.map(|row| format!(" AND {}", is_after(&row))).unwrap_or_default();
        let sql = format!(
            "SELECT DISTINCT time, step, value FROM metrics WHERE {}{after} \
             ORDER BY time, step, isNaN(value), value LIMIT {limit} FORMAT RowBinary",
            of(series)
        );
        self.rows(&sql).await
    }

    async fn by_step(&self, series: Series<'_>, steps: RangeInclusive<i64>) -> Result<Vec<Row>, EngineFault> {
        let sql = format!(
            "SELECT DISTINCT time, step, value FROM metrics WHERE {} AND step >= {} AND step <= {} \
             ORDER BY step, time, isNaN(value), value FORMAT RowBinary",
            of(series),
            int64(*steps.start()),
            int64(*steps.end())
        );
        self.rows(&sql).await
    }
}
