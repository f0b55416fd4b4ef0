use std::collections::HashMap;

use cairn_eventstore::Recorded;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::metrics::packed::Row;
use crate::metrics::write::{summarize, write_series};
use crate::model::RunName;

/// What one call of the projection knows: numbers looked up once, and what is written once for many events.
pub(super) struct Batch<'tx> {
    pub(super) tx: &'tx Transaction<'tx>,
    runs: HashMap<(String, String), Option<RunRow>>,
    words: HashMap<String, i64>,
    touched: HashMap<i64, (i64, i64)>,
    series: HashMap<(i64, i64), (i64, Vec<Row>)>,
    /// Whether points are kept here; otherwise only what they come to.
    keeps_points: bool,
    /// By how much the runs of each project, and those at work, have become more.
    usage: HashMap<String, Counted>,
}

/// Runs that are not gone, and those of them that are at work; or by how much they are more than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) runs: i64,
    pub(super) running: i64,
}

/// A run's row and that of its experiment.
#[derive(Clone, Copy)]
pub(super) struct RunRow {
    pub(super) id: i64,
    pub(super) experiment: i64,
}

impl<'tx> Batch<'tx> {
    pub(super) fn new(tx: &'tx Transaction<'tx>, keeps_points: bool) -> Self {
        Self {
            tx,
            runs: HashMap::new(),
            words: HashMap::new(),
            touched: HashMap::new(),
            series: HashMap::new(),
            keeps_points,
            usage: HashMap::new(),
        }
    }

    /// The row of a run. `None`: its creation was set aside as unreadable, so nothing of it is shown.
    pub(super) fn run(&mut self, name: &RunName) -> rusqlite::Result<Option<RunRow>> {
        let key = (name.project().to_owned(), name.run().to_owned());
        if let Some(row) = self.runs.get(&key) {
            return Ok(*row);
        }
        let row = self
            .tx
            .prepare_cached("SELECT id, experiment FROM run WHERE project = ?1 AND run = ?2")?
            .query_row(params![key.0, key.1], |row| Ok(RunRow { id: row.get(0)?, experiment: row.get(1)? }))
            .optional()?;
        self.runs.insert(key, row);
        Ok(row)
    }

    /// Remembers a row just written.
    pub(super) fn know_run(&mut self, name: &RunName, row: RunRow) {
        self.runs.insert((name.project().to_owned(), name.run().to_owned()), Some(row));
    }

    /// The number of a key, given out on first use.
    pub(super) fn word(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(&id) = self.words.get(text) {
            return Ok(id);
        }
        let known = self
            .tx
            .prepare_cached("SELECT id FROM word WHERE text = ?1")?
            .query_row([text], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => {
                self.tx.prepare_cached("INSERT INTO word (text) VALUES (?1)")?.execute([text])?;
                self.tx.last_insert_rowid()
            }
        };
        self.words.insert(text.to_owned(), id);
        Ok(id)
    }

    /// A run changed: its etag and time are written once, at the end.
    pub(super) fn touch(&mut self, run: RunRow, recorded: &Recorded) {
        self.touched.insert(run.id, (revision(recorded), recorded.time.micros()));
    }

    /// A point to write, together with all others of its series.
    pub(super) fn point(&mut self, run: RunRow, key: i64, row: Row) {
        self.series.entry((run.id, key)).or_insert_with(|| (run.experiment, vec![])).1.push(row);
    }

    /// As what a run counts now.
    pub(super) fn counted(&self, run: RunRow) -> rusqlite::Result<Counted> {
        self.tx
            .prepare_cached("SELECT NOT is_gone, NOT is_gone AND state = 'RUNNING' FROM run WHERE id = ?1")?
            .query_row([run.id], |row| Ok(Counted { runs: row.get(0)?, running: row.get(1)? }))
    }

    /// A project's runs counted as `before`, and count as `after`.
    pub(super) fn count(&mut self, project: &str, before: Counted, after: Counted) {
        if before == after {
            return;
        }
        let more = self.usage.entry(project.to_owned()).or_default();
        more.runs += after.runs - before.runs;
        more.running += after.running - before.running;
    }

    /// Writes what was put off.
    pub(super) fn flush(self) -> rusqlite::Result<()> {
        for ((run, key), (experiment, rows)) in self.series {
            summarize(self.tx, run, key, experiment, &rows)?;
            if self.keeps_points {
                write_series(self.tx, run, key, rows)?;
            }
        }
        let mut count = self.tx.prepare_cached(
            "INSERT INTO project_usage (project, runs, running) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET runs = runs + excluded.runs, running = running + excluded.running",
        )?;
        for (project, more) in self.usage {
            count.execute(params![project, more.runs, more.running])?;
        }
        let mut touch = self.tx.prepare_cached("UPDATE run SET etag = ?2, update_us = ?3 WHERE id = ?1")?;
        for (run, (etag, update_us)) in self.touched {
            touch.execute(params![run, etag, update_us])?;
        }
        Ok(())
    }
}

/// The stream revision an event left its resource at: its etag.
pub(super) fn revision(recorded: &Recorded) -> i64 {
    recorded.revision.0 as i64
}
