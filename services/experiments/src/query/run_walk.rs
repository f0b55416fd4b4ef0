//! Walks an index in the order asked for, one experiment beside the other, until a page is full.

use cairn_search::{Column, Sql, after, order_by};
use rusqlite::types::Value;

use super::run_plan::{Plan, order, values};
use super::run_search::Hit;
use crate::search::word::Word;
use crate::search::{Ordered, RunOrder, TextColumn};

/// So many experiments are walked side by side; of more, all runs are looked at.
pub(super) const MERGED_MAX: usize = 64;

/// A walk for one page.
///
/// Runs with the same value are put in order as they come: of a param with few values, all runs that share one are
/// looked at. An index that had them sorted would have to exist once for each way.
pub(super) struct Walk<'a> {
    plan: &'a Plan<'a>,
    what: What<'a>,
    is_descending: bool,
}

/// What is walked.
#[derive(Clone, Copy)]
enum What<'a> {
    /// A table of keys and values, by its index.
    Entry { table: &'static str, index: &'static str, key: &'a str },
    /// The runs' own names.
    Name,
}

/// A part of the order; each stands behind the one before it, whichever way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Valued,
    NaN,
    Missing,
}

impl<'a> Walk<'a> {
    /// The walk that gives what a search asks for. `None`: no index has that order.
    pub(super) fn of(plan: &'a Plan<'a>) -> Option<Self> {
        let [Ordered { key, is_descending }] = plan.search.order.as_slice() else { return None };
        // The few runs nested in one have an index of their own, which is shorter than any walk.
        if plan.search.parent.is_some() {
            return None;
        }
        let what = match key {
            RunOrder::Metric(key) => What::Entry { table: "metric", index: "metric_by_value", key },
            RunOrder::Param(key) => What::Entry { table: "param", index: "param_by_value", key },
            RunOrder::Tag(key) => What::Entry { table: "tag", index: "tag_by_value", key },
            RunOrder::Text(TextColumn::RunName) => What::Name,
            RunOrder::Text(_) | RunOrder::Time(_) => return None,
        };
        (plan.scope.experiments.len() <= MERGED_MAX).then_some(Self { plan, what, is_descending: *is_descending })
    }

    /// The page.
    pub(super) fn hits(&self) -> rusqlite::Result<Vec<Hit>> {
        let rank = match self.plan.start.and_then(<[Value]>::first) {
            Some(Value::Integer(rank)) => *rank,
            _ => 0,
        };
        let mut hits = vec![];
        for (part, &kind) in (0..).zip(self.parts()).skip_while(|(part, _)| *part < rank) {
            // Only the first continues after a row; the later ones begin at their start.
            let start = self.plan.start.filter(|_| part == rank);
            let limit = self.plan.limit - hits.len();
            if limit == 0 {
                break;
            }
            let mut merged = vec![];
            for &experiment in &self.plan.scope.experiments {
                merged.extend(self.walk(part, kind, experiment, start, limit)?);
            }
            // Within one part the rank is the same.
            let by_value = Column { sql: String::new(), is_descending: self.is_descending };
            let columns = [by_value, Column::descending(""), Column::ascending("")];
            merged.sort_by(|a: &Hit, b| order(&columns, &a.marks[1..], &b.marks[1..]));
            merged.truncate(limit);
            hits.extend(merged);
        }
        Ok(hits)
    }

    /// The parts of the order. Their places are the ranks that rows are marked with.
    fn parts(&self) -> &'static [Part] {
        match self.what {
            What::Entry { table: "metric", .. } => &[Part::Valued, Part::NaN, Part::Missing],
            What::Entry { .. } => &[Part::Valued, Part::Missing],
            What::Name => &[Part::Valued],
        }
    }

    /// The first rows of one part in one experiment.
    fn walk(
        &self,
        rank: i64,
        part: Part,
        experiment: i64,
        start: Option<&[Value]>,
        limit: usize,
    ) -> rusqlite::Result<Vec<Hit>> {
        let mut sql = Sql::default();
        sql.push("SELECT r.id, ").bind(rank);
        let value = match (self.what, part) {
            (_, Part::Missing) => "NULL",
            (What::Name, _) => "r.display_name",
            (What::Entry { .. }, _) => "o.value",
        };
        sql.push(", ").push(value).push(", r.start_us, r.run FROM ");
        match (self.what, part) {
            (What::Entry { table, key, .. }, Part::Missing) => {
                self.plan.by(sql.push("run r"), "run_by_start");
                self.plan.conditions(&mut sql);
                sql.push(" AND r.experiment = ").bind(experiment);
                sql.push(" AND NOT EXISTS (SELECT 1 FROM ").push(table).push(" o WHERE o.run = r.id AND o.key = ");
                sql.word(key).push(")");
            }
            (What::Entry { table, index, key }, _) => {
                self.plan.by(sql.push(table).push(" o"), index).push(" CROSS JOIN run r ON r.id = o.run");
                self.plan.conditions(&mut sql);
                sql.push(" AND o.experiment = ").bind(experiment).push(" AND o.key = ").word(key);
                sql.push(if part == Part::NaN { " AND o.value IS NULL" } else { " AND o.value IS NOT NULL" });
            }
            (What::Name, _) => {
                self.plan.by(sql.push("run r"), "run_by_display_name");
                self.plan.conditions(&mut sql);
                sql.push(" AND r.experiment = ").bind(experiment);
            }
        }
        let sorted = (part == Part::Valued).then(|| Column { sql: value.into(), is_descending: self.is_descending });
        let newest = [Column::descending("r.start_us"), Column::ascending("r.run")];
        // Marks are rank, value, start and run; only the first part is sorted by value.
        if let Some(marks) = start.and_then(|marks| marks.get(if sorted.is_some() { 1 } else { 2 }..)) {
            let columns: Vec<Column> = sorted.iter().chain(&newest).cloned().collect();
            after(&mut sql, &columns, marks);
        }
        order_by(&mut sql, &sorted.into_iter().chain(newest).collect::<Vec<_>>());
        sql.push(" LIMIT ").bind(limit as i64);
        sql.rows(self.plan.db, |row| Ok(Hit { id: row.get(0)?, marks: values(row, 1, 4)? }))
    }
}
