use std::collections::BTreeMap;

use cairn_kernel::Time;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NAMESPACE, identity};
use crate::lineage::nodes::{EdgeRow, NodeRow, Nodes, View};
use crate::lineage::walk::{Steps, Towards};

/// Who says what is said here.
const PRODUCER: &str = "urn:cairn:ledger";
/// Runs of the graph that are not OpenLineage's own.
const RUN: &str = "run";
/// Names that runs have in OpenLineage whose ids are no UUIDs.
const RUNS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_6c69_6e65_6167);

/// What happened at one position of the log, as an event of OpenLineage.
#[derive(Debug, PartialEq)]
pub struct Story {
    pub position: i64,
    pub event: Value,
}

/// What the graph tells of the positions after one, over at most about `steps_max` rows; and up to which position that is
/// all. Runs are told with all they used and made when they end.
pub fn stories(
    connection: &Connection,
    view: View,
    after: i64,
    steps_max: usize,
    edges_max: usize,
) -> Result<(Vec<Story>, i64), rusqlite::Error> {
    let end = ["lineage_mark", "lineage_edge"].into_iter().try_fold(view.until, |end, table| {
        Ok::<_, rusqlite::Error>(end.min(nth_position(connection, table, after, steps_max)?.unwrap_or(end)))
    })?;
    let (marks, edges) = (marks(connection, after, end)?, edges(connection, after, end)?);
    let mut teller =
        Teller { nodes: Nodes::new(connection, view)?, steps: Steps::new(connection, &[])?, connection, edges_max };
    let mut at_positions = BTreeMap::<i64, (Vec<Mark>, Vec<EdgeRow>)>::new();
    for mark in marks {
        at_positions.entry(mark.position).or_default().0.push(mark);
    }
    for edge in edges {
        at_positions.entry(edge.position).or_default().1.push(edge);
    }
    let mut told = vec![];
    for (position, (marks, edges)) in at_positions {
        let events = teller.tell(&marks, &edges)?;
        told.extend(events.into_iter().map(|event| Story { position, event }));
    }
    Ok((told, end))
}

/// How a node stands from a position on.
#[derive(Clone, Copy)]
struct Mark {
    node: i64,
    position: i64,
    time_micros: i64,
    state: i64,
}

/// The position of the `limit`-th row after a position, if there are so many.
fn nth_position(
    connection: &Connection,
    table: &str,
    after: i64,
    limit: usize,
) -> Result<Option<i64>, rusqlite::Error> {
    let sql = format!("SELECT position FROM {table} WHERE position > ?1 ORDER BY position LIMIT 1 OFFSET ?2");
    let offset = i64::try_from(limit).unwrap_or(i64::MAX).saturating_sub(1);
    connection.prepare_cached(&sql)?.query_row([after, offset], |row| row.get(0)).optional()
}

fn marks(connection: &Connection, after: i64, end: i64) -> Result<Vec<Mark>, rusqlite::Error> {
    let mut find = connection.prepare_cached(
        "SELECT node, position, time_micros, state FROM lineage_mark
         WHERE position > ?1 AND position <= ?2 ORDER BY position",
    )?;
    let rows = find.query_map([after, end], |row| {
        Ok(Mark { node: row.get(0)?, position: row.get(1)?, time_micros: row.get(2)?, state: row.get(3)? })
    })?;
    rows.collect()
}

fn edges(connection: &Connection, after: i64, end: i64) -> Result<Vec<EdgeRow>, rusqlite::Error> {
    let mut find = connection.prepare_cached(
        "SELECT source, target, relation, position, end_position, time_micros FROM lineage_edge
         WHERE position > ?1 AND position <= ?2 ORDER BY position",
    )?;
    find.query_map([after, end], EdgeRow::of)?.collect()
}

/// Turns what happened into events.
struct Teller<'c> {
    connection: &'c Connection,
    nodes: Nodes<'c>,
    steps: Steps<'c>,
    edges_max: usize,
}

/// What one event is to say of a run.
struct OfRun {
    run: NodeRow,
    kind: &'static str,
    time_micros: i64,
    position: i64,
    inputs: Vec<NodeRow>,
    outputs: Vec<NodeRow>,
    /// It used or made more than is told.
    is_truncated: bool,
}

impl OfRun {
    fn new(run: NodeRow, kind: &'static str, time_micros: i64, position: i64) -> Self {
        Self { run, kind, time_micros, position, inputs: vec![], outputs: vec![], is_truncated: false }
    }
}

impl Teller<'_> {
    /// What happened at one position: an event for each run it is about, and one for what came about without a run.
    fn tell(&mut self, marks: &[Mark], edges: &[EdgeRow]) -> Result<Vec<Value>, rusqlite::Error> {
        let (mut runs, mut events) = (BTreeMap::<i64, OfRun>::new(), vec![]);
        for mark in marks {
            let Some(run) = self.nodes.row(mark.node)?.filter(|node| node.kind == RUN) else { continue };
            let Some(kind) = self.news(mark)? else { continue };
            let Mark { time_micros, position, .. } = *mark;
            let mut of_run = OfRun::new(run, kind, time_micros, position);
            if matches!(kind, "COMPLETE" | "FAIL" | "ABORT") {
                let (inputs, has_more_inputs) = self.around(of_run.run.id, Towards::Upstream)?;
                let (outputs, has_more_outputs) = self.around(of_run.run.id, Towards::Downstream)?;
                of_run.is_truncated = has_more_inputs || has_more_outputs;
                (of_run.inputs, of_run.outputs) = (inputs, outputs);
            }
            runs.insert(of_run.run.id, of_run);
        }
        for edge in edges {
            let (Some(source), Some(target)) = (self.nodes.row(edge.source)?, self.nodes.row(edge.target)?) else {
                continue;
            };
            let (is_output, run, other) = match (source.kind == RUN, target.kind == RUN) {
                // That one run started another stands in the other's facets.
                (true, true) => continue,
                (true, false) => (true, source, target),
                (false, true) => (false, target, source),
                (false, false) => {
                    events.push(self.without_a_run(edge, &source, &target)?);
                    continue;
                }
            };
            let EdgeRow { time_micros, position, .. } = *edge;
            let of_run = runs.entry(run.id).or_insert_with(|| OfRun::new(run, "OTHER", time_micros, position));
            let into = if is_output { &mut of_run.outputs } else { &mut of_run.inputs };
            if into.iter().all(|node| node.id != other.id) {
                into.push(other);
            }
        }
        for of_run in runs.values() {
            events.push(self.run_event(of_run)?);
        }
        Ok(events)
    }

    /// What a mark of a run means. `None`: only that it was deleted or restored.
    fn news(&mut self, mark: &Mark) -> Result<Option<&'static str>, rusqlite::Error> {
        let mut before = self.connection.prepare_cached(
            "SELECT state FROM lineage_mark WHERE node = ?1 AND position < ?2 ORDER BY position DESC LIMIT 1",
        )?;
        let before: Option<i64> = before.query_row([mark.node, mark.position], |row| row.get(0)).optional()?;
        if before == Some(mark.state) {
            return Ok(None);
        }
        Ok(Some(match self.nodes.word(mark.state)?.as_str() {
            "running" => "START",
            "finished" => "COMPLETE",
            "failed" => "FAIL",
            "killed" => "ABORT",
            _ => "OTHER",
        }))
    }

    /// What a run used or made, and whether there is more.
    fn around(&mut self, run: i64, towards: Towards) -> Result<(Vec<NodeRow>, bool), rusqlite::Error> {
        let (steps, has_more) = self.steps.of(&mut self.nodes, run, towards, self.edges_max)?;
        let mut found = vec![];
        for (_, other) in steps {
            found.extend(self.nodes.row(other)?.filter(|node| node.kind != RUN));
        }
        Ok((found, has_more))
    }

    fn run_event(&mut self, of_run: &OfRun) -> Result<Value, rusqlite::Error> {
        let OfRun { run, kind, time_micros, position, inputs, outputs, is_truncated } = of_run;
        let schema = "urn:cairn:facets:resource:1";
        let mut resource =
            json!({"_producer": PRODUCER, "_schemaURL": schema, "name": run.name.as_str(), "state": run.state});
        if *is_truncated {
            resource["truncated"] = json!(true);
        }
        let mut facets = json!({"cairn_resource": resource});
        let (parents, _) = self.steps.of(&mut self.nodes, run.id, Towards::Upstream, self.edges_max)?;
        for (_, other) in parents {
            if let Some(parent) = self.nodes.row(other)?.filter(|node| node.kind == RUN) {
                facets["parent"] = json!({
                    "_producer": PRODUCER,
                    "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet",
                    "run": {"runId": run_id(&parent)}, "job": {"namespace": NAMESPACE, "name": job_name(&parent)},
                });
            }
        }
        Ok(json!({
            "eventType": kind,
            "eventTime": Time::from_micros(*time_micros).to_string(),
            "producer": PRODUCER,
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": run_id(run), "facets": facets},
            "job": {"namespace": NAMESPACE, "name": job_name(run), "facets": place(*position)},
            "inputs": datasets(inputs),
            "outputs": datasets(outputs),
        }))
    }

    /// What came about without a run, as the doing of a job: OpenLineage has no edge from one dataset to another.
    fn without_a_run(&mut self, edge: &EdgeRow, source: &NodeRow, target: &NodeRow) -> Result<Value, rusqlite::Error> {
        let relation = self.nodes.word(edge.relation)?;
        Ok(json!({
            "eventTime": Time::from_micros(edge.time_micros).to_string(),
            "producer": PRODUCER,
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent",
            "job": {
                "namespace": NAMESPACE,
                "name": format!("{relation} {}", target.name),
                "facets": place(edge.position),
            },
            "inputs": datasets(std::slice::from_ref(source)),
            "outputs": datasets(std::slice::from_ref(target)),
        }))
    }
}

/// A run's id as OpenLineage wants one: a UUID.
fn run_id(run: &NodeRow) -> String {
    let id = run.name.segments().next_back().unwrap_or_default();
    Uuid::parse_str(id).unwrap_or_else(|_| Uuid::new_v5(&RUNS, run.name.as_str().as_bytes())).to_string()
}

/// The job of a run is the experiment it belongs to.
fn job_name(run: &NodeRow) -> String {
    run.name.parent().unwrap_or_default().to_string()
}

/// Where in the log it stands: whoever sends these on goes on after it.
fn place(position: i64) -> Value {
    let schema = "urn:cairn:facets:log:1";
    json!({"cairn_log": {"_producer": PRODUCER, "_schemaURL": schema, "position": position.to_string()}})
}

fn datasets(nodes: &[NodeRow]) -> Value {
    let dataset = |node: &NodeRow| {
        let (namespace, name) = identity::outside(node);
        let mut dataset = json!({"namespace": namespace, "name": name});
        if !node.digest.is_empty() {
            dataset["facets"] = json!({"version": {
                "_producer": PRODUCER,
                "_schemaURL":
                    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
                "datasetVersion": node.digest,
            }});
        }
        dataset
    };
    nodes.iter().map(dataset).collect()
}

#[cfg(test)]
mod tests {
    use cairn_kernel::Name;
    use cairn_projection::Projection;

    use super::*;
    use crate::lineage::Graph;
    use crate::lineage::nodes::ENDLESS;
    use crate::scope::Scope;

    /// What is told of a run that used three things, if so many edges are followed.
    fn told(edges_max: usize) -> Value {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(Graph::SCHEMA).unwrap();
        connection
            .execute_batch(&format!(
                "INSERT INTO lineage_word VALUES (1, 'used'), (2, 'run'), (3, 'dataset'), (4, 'finished');
                 INSERT INTO lineage_node VALUES
                     (1, 'projects/p/experiments/e/runs/r', NULL, 2, '', '', 1),
                     (2, 'projects/p/datasets/a', NULL, 3, '', '', 1),
                     (3, 'projects/p/datasets/b', NULL, 3, '', '', 1),
                     (4, 'projects/p/datasets/c', NULL, 3, '', '', 1);
                 INSERT INTO lineage_edge SELECT id, 1, 1, 2, {ENDLESS}, 0 FROM lineage_node WHERE id > 1;
                 INSERT INTO lineage_mark VALUES (1, 3, 0, 4, 0);"
            ))
            .unwrap();
        let view = View { scope: Scope(vec![Name::ROOT]), until: 9 };
        let (mut stories, end) = stories(&connection, view, 2, 10, edges_max).unwrap();
        assert_eq!((stories.len(), end), (1, 9));
        stories.remove(0).event
    }

    #[test]
    fn a_run_that_is_told_in_part_says_so() {
        let whole = told(3);
        assert_eq!((whole["eventType"].as_str(), whole["inputs"].as_array().unwrap().len()), (Some("COMPLETE"), 3));
        assert_eq!(whole["run"]["facets"]["cairn_resource"]["truncated"], Value::Null);
        let part = told(2);
        assert_eq!(part["inputs"].as_array().unwrap().len(), 2);
        assert_eq!(part["run"]["facets"]["cairn_resource"]["truncated"], true);
    }
}
