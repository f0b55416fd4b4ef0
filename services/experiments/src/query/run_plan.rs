//! How a search of runs becomes SQL that stays fast with many runs.
//!
//! Three ways, chosen per search:
//!
//! - a condition that few runs satisfy drives: its index gives them, and the rest is checked and sorted;
//! - newest or oldest first, or by one metric, param, tag or the name in not too many experiments, indexes are walked in the order
//!   asked for, until the page is full ([`super::run_walk`]);
//! - else everything in scope is looked at, and only the page is kept.

use cairn_search::{Column, Sql, after, order_by};
use std::cmp::Ordering;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::LifecycleFilter;
use super::run_search::{Hit, RunSearch, Scope};
use super::run_walk::{MERGED_MAX, Walk};
use crate::search::word::Word;
use crate::search::{Compare, DatasetColumn, Ordered, RunCondition, RunOrder, Text, TextColumn, TimeColumn};

/// The page after `start`, at most `limit` runs.
pub(super) fn hits(
    db: &Connection,
    search: &RunSearch,
    scope: &Scope,
    start: Option<&[Value]>,
    limit: usize,
) -> rusqlite::Result<Vec<Hit>> {
    if scope.experiments.is_empty() {
        return Ok(vec![]);
    }
    let search = Plan { db, search, scope, start, limit };
    if let Some(driver) = search.driver()? {
        return search.sorted(Some(driver));
    }
    if let Some(walk) = Walk::of(&search) {
        return walk.hits();
    }
    match search.pieces() {
        pieces if pieces.len() > 1 => search.merged(pieces),
        _ => search.sorted(None),
    }
}

pub(super) struct Plan<'a> {
    pub(super) db: &'a Connection,
    pub(super) search: &'a RunSearch,
    pub(super) scope: &'a Scope,
    pub(super) start: Option<&'a [Value]>,
    pub(super) limit: usize,
}

impl<'a> Plan<'a> {
    /// The one experiment that is looked in.
    fn single(&self) -> Option<i64> {
        match self.scope.experiments.as_slice() {
            [experiment] => Some(*experiment),
            _ => None,
        }
    }

    /// A condition that few runs satisfy.
    fn driver(&self) -> rusqlite::Result<Option<&'a RunCondition>> {
        let rows_max = self.search.driver_rows_max as i64;
        for condition in &self.search.filter {
            let mut sql = Sql::default();
            sql.push("SELECT count(*) FROM (");
            if self.drive(&mut sql, condition) {
                sql.push(" LIMIT ").bind(rows_max + 1).push(")");
                let count = sql.rows(self.db, |row| row.get::<_, i64>(0))?.first().copied();
                if count.is_some_and(|count| count <= rows_max) {
                    return Ok(Some(condition));
                }
            }
        }
        Ok(None)
    }

    /// Adds a query for the runs that satisfy a condition, straight from its index. Gives whether there is one.
    fn drive(&self, sql: &mut Sql, condition: &RunCondition) -> bool {
        match condition {
            RunCondition::Metric { key, compare, value } if *compare != Compare::Ne => {
                self.indexed(sql, "metric", "metric_by_value", key);
                sql.push(" AND value ").push(compare.sql()).push(" ").bind(*value);
            }
            RunCondition::Param { key, text: text @ (Text::Eq(_) | Text::Like(_)) } => {
                self.indexed(sql, "param", "param_by_value", key);
                sql.push(" AND ").text("value", text);
            }
            RunCondition::Tag { key, text: text @ (Text::Eq(_) | Text::Like(_)) } => {
                self.indexed(sql, "tag", "tag_by_value", key);
                sql.push(" AND ").text("value", text);
            }
            RunCondition::Text { column: TextColumn::RunName, text: text @ (Text::Eq(_) | Text::Like(_)) } => {
                self.indexed_run(sql, "run_by_display_name");
                sql.push(" AND ").text("display_name", text);
            }
            RunCondition::Text { column: TextColumn::Status, text: text @ Text::Eq(_) } => {
                self.indexed_run(sql, "run_by_state");
                sql.push(" AND ").text("state", text);
            }
            RunCondition::Text { column: TextColumn::RunId, text: text @ (Text::Eq(_) | Text::In(_)) } => {
                sql.push("SELECT id AS run FROM run WHERE project = ").bind(self.search.project.project().to_owned());
                sql.push(" AND ").text("run", text);
            }
            _ => return false,
        }
        true
    }

    fn indexed(&self, sql: &mut Sql, table: &'static str, index: &'static str, key: &str) {
        sql.push("SELECT run FROM ").push(table);
        self.by(sql, index).push(" WHERE experiment");
        self.experiments(sql);
        sql.push(" AND key = ").word(key);
    }

    fn indexed_run(&self, sql: &mut Sql, index: &'static str) {
        sql.push("SELECT id AS run FROM run");
        self.by(sql, index).push(" WHERE experiment");
        self.experiments(sql);
    }

    /// Says which index to use, where it may be said.
    pub(super) fn by<'s>(&self, sql: &'s mut Sql, index: &'static str) -> &'s mut Sql {
        match self.search.names_indexes {
            true => sql.push(" INDEXED BY ").push(index),
            false => sql,
        }
    }

    fn experiments(&self, sql: &mut Sql) {
        match self.single() {
            Some(experiment) => sql.push(" = ").bind(experiment),
            None => sql.push(" IN ").ids(&self.scope.experiments),
        };
    }

    /// By start, indexes have the runs of one experiment in order, and of one project, and each the deleted ones apart.
    /// Gives what has to be asked for piece by piece for that; one piece: nothing has.
    fn pieces(&self) -> Vec<(Scope, LifecycleFilter)> {
        let is_by_start = match self.search.order.as_slice() {
            [] => true,
            [term] => term.key == RunOrder::Time(TimeColumn::Start),
            _ => false,
        };
        if !is_by_start || self.search.parent.is_some() {
            return vec![];
        }
        let scopes: Vec<Scope> = match self.scope {
            Scope { is_project: false, experiments } if experiments.len() <= MERGED_MAX => {
                experiments.iter().map(|id| Scope { experiments: vec![*id], is_project: false }).collect()
            }
            Scope { is_project, experiments } => {
                vec![Scope { experiments: experiments.clone(), is_project: *is_project }]
            }
        };
        let lifecycles = match self.search.lifecycle {
            LifecycleFilter::All => vec![LifecycleFilter::Active, LifecycleFilter::Deleted],
            one => vec![one],
        };
        let pieces =
            scopes.into_iter().flat_map(|scope| lifecycles.iter().map(move |lifecycle| (scope.clone(), *lifecycle)));
        pieces.collect()
    }

    /// Asks for a page of each piece, and keeps the first rows of all of them.
    fn merged(&self, pieces: Vec<(Scope, LifecycleFilter)>) -> rusqlite::Result<Vec<Hit>> {
        let mut hits = vec![];
        for (scope, lifecycle) in pieces {
            let search = RunSearch { lifecycle, ..self.search.clone() };
            hits.extend(Plan { search: &search, scope: &scope, ..*self }.sorted(None)?);
        }
        let columns = columns(&self.search.order);
        hits.sort_by(|a: &Hit, b| order(&columns, &a.marks, &b.marks));
        hits.truncate(self.limit);
        Ok(hits)
    }

    /// Sorts what is in scope, unless an index has it sorted.
    fn sorted(&self, driver: Option<&RunCondition>) -> rusqlite::Result<Vec<Hit>> {
        let columns = columns(&self.search.order);
        let mut sql = Sql::default();
        select(&mut sql, &columns);
        match driver {
            Some(driver) => {
                sql.push("(");
                self.drive(&mut sql, driver);
                sql.push(") d CROSS JOIN run r ON r.id = d.run");
            }
            None if self.search.parent.is_some() => {
                self.by(sql.push("run r"), "run_by_parent");
            }
            None if self.single().is_some() => {
                self.by(sql.push("run r"), "run_by_start");
            }
            None => {
                sql.push("run r");
            }
        }
        for (at, term) in self.search.order.iter().enumerate() {
            let (table, key) = match &term.key {
                RunOrder::Metric(key) => ("metric", key),
                RunOrder::Param(key) => ("param", key),
                RunOrder::Tag(key) => ("tag", key),
                RunOrder::Text(_) | RunOrder::Time(_) => continue,
            };
            sql.push(&format!(" LEFT JOIN {table} o{at} ON o{at}.run = r.id AND o{at}.key = ")).word(key);
        }
        self.conditions(&mut sql);
        self.page(&mut sql, &columns, self.start, self.limit)
    }

    fn page(
        &self,
        sql: &mut Sql,
        columns: &[Column],
        start: Option<&[Value]>,
        limit: usize,
    ) -> rusqlite::Result<Vec<Hit>> {
        if let Some(marks) = start {
            after(sql, columns, marks);
        }
        order_by(sql, columns);
        sql.push(" LIMIT ").bind(limit as i64);
        sql.rows(self.db, |row| Ok(Hit { id: row.get(0)?, marks: values(row, 1, columns.len())? }))
    }

    /// Adds ` WHERE …`: what is in scope, visible and asked for.
    pub(super) fn conditions(&self, sql: &mut Sql) {
        let search = self.search;
        sql.push(" WHERE r.project = ").bind(search.project.project().to_owned());
        if !self.scope.is_project || self.single().is_some() {
            sql.push(" AND r.experiment");
            self.experiments(sql);
        }
        if let Some(lifecycle) = search.lifecycle.sql() {
            sql.push(" AND r.is_gone").push(lifecycle);
        }
        if search.skips_hidden {
            sql.push(" AND r.is_hidden = 0");
        }
        if let Some(parent) = &search.parent {
            sql.push(" AND r.parent = ").bind(parent.clone());
        }
        if !search.visible.is_all {
            sql.push(" AND (r.experiment IN (SELECT id FROM experiment WHERE project = r.project AND experiment IN ");
            sql.list(&search.visible.experiments).push(") OR r.run IN ").list(&search.visible.runs).push(")");
        }
        for condition in &search.filter {
            sql.push(" AND ");
            self::condition(sql, condition);
        }
    }
}

/// The order of rows by their marks, as SQLite has it for these columns.
pub(super) fn order(columns: &[Column], a: &[Value], b: &[Value]) -> Ordering {
    for (column, (a, b)) in columns.iter().zip(a.iter().zip(b)) {
        let ordering = compare(a, b);
        if ordering.is_ne() {
            return if column.is_descending { ordering.reverse() } else { ordering };
        }
    }
    Ordering::Equal
}

/// Values of one column; what is absent comes first.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Real(a), Value::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

fn select(sql: &mut Sql, columns: &[Column]) {
    sql.push("SELECT r.id");
    for column in columns {
        sql.push(", ").push(&column.sql);
    }
    sql.push(" FROM ");
}

pub(super) fn values(row: &rusqlite::Row<'_>, from: usize, count: usize) -> rusqlite::Result<Vec<Value>> {
    (from..from + count).map(|at| row.get(at)).collect()
}

/// Each term is two columns: what is missing stands last both ways, NaN before it. Then newest first, then by id.
///
/// INVARIANT: a walk marks its rows with the values of these columns, so that a page may continue either way.
fn columns(order: &[Ordered<RunOrder>]) -> Vec<Column> {
    let mut columns = vec![];
    let mut has_start = false;
    for (at, term) in order.iter().enumerate() {
        let value = match &term.key {
            RunOrder::Metric(_) | RunOrder::Param(_) | RunOrder::Tag(_) => format!("o{at}.value"),
            RunOrder::Text(column) => text_column(*column).to_owned(),
            RunOrder::Time(TimeColumn::Start) => {
                has_start = true;
                columns.push(Column { sql: "r.start_us".into(), is_descending: term.is_descending });
                continue;
            }
            RunOrder::Time(TimeColumn::End) => "r.end_us".to_owned(),
        };
        columns.push(Column::ascending(match &term.key {
            RunOrder::Metric(_) => format!("iif(o{at}.run IS NULL, 2, o{at}.value IS NULL)"),
            _ => format!("({value} IS NULL)"),
        }));
        columns.push(Column { sql: value, is_descending: term.is_descending });
    }
    if !has_start {
        columns.push(Column::descending("r.start_us"));
    }
    columns.push(Column::ascending("r.run"));
    columns
}

fn text_column(column: TextColumn) -> &'static str {
    match column {
        TextColumn::RunId => "r.run",
        TextColumn::RunName => "r.display_name",
        TextColumn::Status => "r.state",
        TextColumn::UserId => "r.user",
        TextColumn::ArtifactUri => "r.artifact_location",
    }
}

fn condition(sql: &mut Sql, condition: &RunCondition) {
    match condition {
        RunCondition::Metric { key, compare, value } => {
            sql.push("EXISTS (SELECT 1 FROM metric c WHERE c.run = r.id AND c.key = ").word(key);
            sql.push(" AND (c.value ").push(compare.sql()).push(" ").bind(*value);
            // NaN, which is NULL here, differs from every number, and in MLflow's searches too.
            sql.push(if *compare == Compare::Ne { " OR c.value IS NULL))" } else { "))" });
        }
        RunCondition::Param { key, text } => pair(sql, "param", key, text),
        RunCondition::Tag { key, text } => pair(sql, "tag", key, text),
        RunCondition::Text { column, text } => {
            sql.text(text_column(*column), text);
        }
        RunCondition::Time { column, compare, value } => {
            // In milliseconds, as clients count; times before 1970 do not occur.
            let column = if *column == TimeColumn::Start { "r.start_us" } else { "r.end_us" };
            sql.push(column).push(" / 1000 ").push(compare.sql()).push(" ").bind(*value);
        }
        RunCondition::Dataset { column, text } => {
            let column = match column {
                DatasetColumn::Name => "d.name",
                DatasetColumn::Digest => "d.digest",
                DatasetColumn::Context => "i.context",
            };
            sql.push(
                "EXISTS (SELECT 1 FROM dataset_input i JOIN dataset d ON d.id = i.dataset WHERE i.run = r.id AND ",
            );
            sql.text(column, text).push(")");
        }
    }
}

fn pair(sql: &mut Sql, table: &'static str, key: &str, text: &Text) {
    let is_absence = *text == Text::IsNull;
    sql.push(if is_absence { "NOT EXISTS (SELECT 1 FROM " } else { "EXISTS (SELECT 1 FROM " });
    sql.push(table).push(" c WHERE c.run = r.id AND c.key = ").word(key);
    if !matches!(text, Text::IsNull | Text::IsNotNull) {
        sql.push(" AND ").text("c.value", text);
    }
    sql.push(")");
}
