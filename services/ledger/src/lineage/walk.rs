use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use rusqlite::{CachedStatement, Connection};

use super::nodes::{EdgeRow, Nodes};

/// Which way edges are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    Upstream,
    Downstream,
}

/// How far a walk goes. What it leaves out, it says.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub depth: usize,
    /// Most nodes found, over all ways.
    pub nodes_max: usize,
    /// Most edges followed from one node.
    pub edges_per_node_max: usize,
    /// Most edges found, over all ways.
    pub edges_max: usize,
}

/// A way through the graph, breadth first, over what the reader sees.
pub struct Walk<'n, 'c> {
    pub nodes: &'n mut Nodes<'c>,
    pub steps: Steps<'c>,
    pub limits: Limits,
}

/// What was found around a node.
#[derive(Debug, Default)]
pub struct Walked {
    /// Nodes and how far they are away, negative upstream; nearest first.
    pub found: Vec<(i64, i32)>,
    pub edges: Vec<EdgeRow>,
    /// Nodes behind which there is more, or may be.
    pub truncated: Vec<i64>,
}

/// Reads the edges of single nodes.
pub struct Steps<'c> {
    up: CachedStatement<'c>,
    down: CachedStatement<'c>,
    /// Numbers of the relations followed. `None`: all.
    relations: Option<HashSet<i64>>,
}

impl<'c> Steps<'c> {
    /// Over edges of these relations; over all, if none are named.
    pub fn new(connection: &'c Connection, relations: &[String]) -> Result<Self, rusqlite::Error> {
        let numbers = || -> Result<HashSet<i64>, rusqlite::Error> {
            let mut find = connection.prepare_cached("SELECT id FROM lineage_word WHERE text = ?1")?;
            let mut ids = HashSet::new();
            for relation in relations {
                ids.extend(find.query_map([relation], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?);
            }
            Ok(ids)
        };
        Ok(Self {
            up: connection.prepare_cached(
                "SELECT source, target, relation, position, end_position, time_micros FROM lineage_edge
                 INDEXED BY lineage_edge_by_target WHERE target = ?1",
            )?,
            down: connection.prepare_cached(
                "SELECT source, target, relation, position, end_position, time_micros FROM lineage_edge
                 WHERE source = ?1",
            )?,
            relations: if relations.is_empty() { None } else { Some(numbers()?) },
        })
    }

    /// The edges of a node that the reader sees, at most `limit`, each with the node at its other end; and whether there
    /// are more.
    pub fn of(
        &mut self,
        nodes: &mut Nodes<'_>,
        id: i64,
        towards: Towards,
        limit: usize,
    ) -> Result<(Vec<(EdgeRow, i64)>, bool), rusqlite::Error> {
        let until = nodes.view().until;
        let statement = match towards {
            Towards::Upstream => &mut self.up,
            Towards::Downstream => &mut self.down,
        };
        let mut rows = statement.query([id])?;
        let mut found = vec![];
        while let Some(row) = rows.next()? {
            let edge = EdgeRow::of(row)?;
            let other = if towards == Towards::Upstream { edge.source } else { edge.target };
            let is_wanted = self.relations.as_ref().is_none_or(|relations| relations.contains(&edge.relation));
            if !is_wanted || !edge.is_there(until) || !nodes.sees(other)? {
                continue;
            }
            if found.len() == limit {
                return Ok((found, true));
            }
            found.push((edge, other));
        }
        Ok((found, false))
    }
}

/// What has been listed.
struct Met {
    nodes: HashSet<i64>,
    edges: HashSet<EdgeRow>,
}

impl Walk<'_, '_> {
    /// Goes out from a node, which must be one that the reader sees.
    pub fn from(&mut self, start: i64, ways: &[Towards]) -> Result<Walked, rusqlite::Error> {
        let mut walked = Walked { found: vec![(start, 0)], ..Walked::default() };
        // What lies on a cycle through the start is met from both sides, and listed once.
        let mut met = Met { nodes: HashSet::from([start]), edges: HashSet::new() };
        for towards in ways {
            self.one_way(start, *towards, &mut walked, &mut met)?;
        }
        walked.found.sort_by_key(|(_, distance)| distance.unsigned_abs());
        walked.truncated.sort_unstable();
        walked.truncated.dedup();
        Ok(walked)
    }

    fn one_way(
        &mut self,
        start: i64,
        towards: Towards,
        walked: &mut Walked,
        met: &mut Met,
    ) -> Result<(), rusqlite::Error> {
        let sign = if towards == Towards::Upstream { -1 } else { 1 };
        let mut distances = HashMap::from([(start, 0_usize)]);
        let mut waiting = VecDeque::from([start]);
        while let Some(id) = waiting.pop_front() {
            let distance = distances[&id];
            let is_last = distance >= self.limits.depth;
            let (steps, has_more) = self.steps.of(self.nodes, id, towards, self.limits.edges_per_node_max)?;
            if has_more {
                walked.truncated.push(id);
            }
            for (edge, other) in steps {
                if walked.edges.len() >= self.limits.edges_max && !met.edges.contains(&edge) {
                    // There is no room for what lies behind those that wait either.
                    walked.truncated.push(id);
                    walked.truncated.extend(waiting);
                    return Ok(());
                }
                if let Entry::Vacant(place) = distances.entry(other) {
                    if is_last || walked.found.len() >= self.limits.nodes_max {
                        walked.truncated.push(id);
                        continue;
                    }
                    place.insert(distance + 1);
                    waiting.push_back(other);
                    if met.nodes.insert(other) {
                        walked.found.push((other, sign * (distance + 1) as i32));
                    }
                }
                if met.edges.insert(edge) {
                    walked.edges.push(edge);
                }
            }
        }
        Ok(())
    }
}
