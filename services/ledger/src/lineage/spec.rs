//! Walks and paths beside naive ones over the same random edges, held in a list.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use cairn_kernel::Name;
use cairn_projection::Projection;
use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::nodes::{ENDLESS, EdgeRow, Nodes, View};
use super::walk::{Limits, Steps, Towards, Walk, Walked};
use super::{Graph, shortest};
use crate::scope::Scope;

const NODES: i64 = 12;
const UNTIL: i64 = 10;

#[derive(Clone, Debug)]
struct Drawn {
    edges: Vec<EdgeRow>,
    /// Nodes of a project that the reader does not see.
    hidden: HashSet<i64>,
    relations: Vec<String>,
    limits: Limits,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let edge = (1..=NODES, 1..=NODES, 1..=2_i64, 1..=UNTIL + 2, prop_oneof![Just(ENDLESS), 1..=UNTIL + 3]);
    let limits = (0..6_usize, 1..14_usize, 1..5_usize, 1..40_usize);
    let limits = limits.prop_map(|(depth, nodes_max, edges_per_node_max, edges_max)| Limits {
        depth,
        nodes_max,
        edges_per_node_max,
        edges_max,
    });
    let relations = prop_oneof![Just(vec![]), Just(vec!["used".to_owned()]), Just(vec!["unheard".to_owned()])];
    let hidden = proptest::collection::hash_set(2..=NODES, 0..4);
    (proptest::collection::vec(edge, 0..50), hidden, relations, limits).prop_map(
        |(edges, hidden, relations, limits)| {
            let mut keys = HashSet::new();
            let edges = edges.into_iter().filter(|(source, target, relation, position, _)| {
                source != target && keys.insert((*source, *target, *relation, *position))
            });
            let row = |(source, target, relation, position, end_position)| EdgeRow {
                source,
                target,
                relation,
                position,
                end_position,
                time_micros: 0,
            };
            let mut edges: Vec<_> = edges.map(row).collect();
            edges.sort_by_key(|edge| (edge.source, edge.target, edge.relation, edge.position));
            Drawn { edges, hidden, relations, limits }
        },
    )
}

fn graph(drawn: &Drawn) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(Graph::SCHEMA).unwrap();
    connection.execute_batch("INSERT INTO lineage_word VALUES (1, 'used'), (2, 'produced'), (3, 'run')").unwrap();
    for id in 1..=NODES {
        let name = format!("projects/{}/models/{id}", if drawn.hidden.contains(&id) { "b" } else { "a" });
        let row = "INSERT INTO lineage_node VALUES (?1, ?2, NULL, 3, '', '', 1)";
        connection.execute(row, params![id, name]).unwrap();
    }
    for edge in &drawn.edges {
        let EdgeRow { source, target, relation, position, end_position, time_micros } = *edge;
        let row = "INSERT INTO lineage_edge VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        connection.execute(row, params![source, target, relation, position, end_position, time_micros]).unwrap();
    }
    connection
}

fn view() -> View {
    View { scope: Scope(vec!["projects/a".parse::<Name>().unwrap()]), until: UNTIL }
}

/// The edges of a node that count, with the nodes at their other ends.
fn around(drawn: &Drawn, id: i64, towards: Towards) -> Vec<(EdgeRow, i64)> {
    let ends = |edge: &EdgeRow| match towards {
        Towards::Upstream => (edge.target, edge.source),
        Towards::Downstream => (edge.source, edge.target),
    };
    let is_wanted = |edge: &EdgeRow| match drawn.relations.first().map(String::as_str) {
        None => true,
        Some("used") => edge.relation == 1,
        Some(_) => false,
    };
    let counts = |edge: &&EdgeRow| {
        let (near, far) = ends(edge);
        let is_there = edge.position <= UNTIL && edge.end_position > UNTIL;
        near == id && is_there && is_wanted(edge) && !drawn.hidden.contains(&far)
    };
    drawn.edges.iter().filter(counts).map(|edge| (*edge, ends(edge).1)).collect()
}

fn naive_walk(drawn: &Drawn, ways: &[Towards]) -> Walked {
    let (mut found, mut edges, mut truncated) = (vec![(1_i64, 0_i32)], vec![], BTreeSet::new());
    for towards in ways {
        let sign = if *towards == Towards::Upstream { -1 } else { 1 };
        let (mut distances, mut waiting) = (HashMap::from([(1_i64, 0_usize)]), VecDeque::from([1_i64]));
        'way: while let Some(id) = waiting.pop_front() {
            let all = around(drawn, id, *towards);
            if all.len() > drawn.limits.edges_per_node_max {
                truncated.insert(id);
            }
            for (edge, other) in all.into_iter().take(drawn.limits.edges_per_node_max) {
                if edges.len() >= drawn.limits.edges_max && !edges.contains(&edge) {
                    truncated.insert(id);
                    truncated.extend(waiting);
                    break 'way;
                }
                if !distances.contains_key(&other) {
                    if distances[&id] >= drawn.limits.depth || found.len() >= drawn.limits.nodes_max {
                        truncated.insert(id);
                        continue;
                    }
                    let distance = distances[&id] + 1;
                    distances.insert(other, distance);
                    waiting.push_back(other);
                    if found.iter().all(|(id, _)| *id != other) {
                        found.push((other, sign * i32::try_from(distance).unwrap()));
                    }
                }
                if !edges.contains(&edge) {
                    edges.push(edge);
                }
            }
        }
    }
    found.sort_by_key(|(_, distance)| distance.unsigned_abs());
    Walked { found, edges, truncated: truncated.into_iter().collect() }
}

/// Steps from node 1 to another.
fn naive_distance(drawn: &Drawn, to: i64) -> Option<usize> {
    let (mut distances, mut waiting) = (HashMap::from([(1_i64, 0_usize)]), VecDeque::from([1_i64]));
    while let Some(id) = waiting.pop_front() {
        for (_, other) in around(drawn, id, Towards::Downstream) {
            if !distances.contains_key(&other) {
                distances.insert(other, distances[&id] + 1);
                waiting.push_back(other);
            }
        }
    }
    distances.get(&to).copied()
}

proptest! {
    #[test]
    fn a_walk_finds_what_a_naive_one_finds_in_the_same_order(drawn in drawn()) {
        let connection = graph(&drawn);
        for ways in [&[Towards::Upstream][..], &[Towards::Downstream], &[Towards::Upstream, Towards::Downstream]] {
            let mut nodes = Nodes::new(&connection, view()).unwrap();
            let steps = Steps::new(&connection, &drawn.relations).unwrap();
            let walked = Walk { nodes: &mut nodes, steps, limits: drawn.limits }.from(1, ways).unwrap();
            let naive = naive_walk(&drawn, ways);
            prop_assert_eq!(walked.found, naive.found);
            prop_assert_eq!(walked.edges, naive.edges);
            prop_assert_eq!(walked.truncated, naive.truncated);
        }
    }

    #[test]
    fn a_path_is_as_short_as_a_naive_one(drawn in drawn(), to in 2..=NODES) {
        prop_assume!(!drawn.hidden.contains(&to));
        let connection = graph(&drawn);
        let mut nodes = Nodes::new(&connection, view()).unwrap();
        let mut steps = Steps::new(&connection, &drawn.relations).unwrap();
        let limits = Limits { depth: 100, nodes_max: 100, edges_per_node_max: 100, edges_max: 100 };
        let way = shortest(&mut nodes, &mut steps, limits, (1, to)).unwrap();
        prop_assert_eq!(way.nodes.len().checked_sub(1), naive_distance(&drawn, to));
        prop_assert!(!way.is_truncated);
        for (edge, ends) in way.edges.iter().zip(way.nodes.windows(2)) {
            prop_assert_eq!([edge.source, edge.target], [ends[0], ends[1]]);
            prop_assert!(drawn.edges.contains(edge));
        }
    }
}

#[test]
fn a_path_is_found_though_as_many_nodes_were_met_as_may_be() {
    let edge = |target| EdgeRow { source: 1, target, relation: 1, position: 1, end_position: ENDLESS, time_micros: 0 };
    let limits = Limits { depth: 3, nodes_max: 1, edges_per_node_max: 100, edges_max: 100 };
    let edges = (2..=5).map(edge).collect();
    let connection = graph(&Drawn { edges, hidden: HashSet::new(), relations: vec![], limits });
    let mut nodes = Nodes::new(&connection, view()).unwrap();
    let mut steps = Steps::new(&connection, &[]).unwrap();
    let way = shortest(&mut nodes, &mut steps, limits, (1, 5)).unwrap();
    assert_eq!((way.nodes, way.is_truncated), (vec![1, 5], true));
}
