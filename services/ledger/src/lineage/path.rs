use std::collections::HashMap;

use super::nodes::{EdgeRow, Nodes};
use super::walk::{Limits, Steps, Towards};

/// A shortest way from one node to another.
#[derive(Debug, Default, PartialEq)]
pub struct Way {
    /// Empty: there is none.
    pub nodes: Vec<i64>,
    pub edges: Vec<EdgeRow>,
    /// Not everything was looked at: there may be one, or a shorter one.
    pub is_truncated: bool,
}

/// One end of a search: what it has reached, and over which edge.
struct Side {
    towards: Towards,
    reached: HashMap<i64, Option<EdgeRow>>,
    edge_of_search: Vec<i64>,
}

/// Searches from both ends at once, each time from the one that has less before it: a thing that much came of and a thing
/// that was made from little meet soon.
pub fn shortest(
    nodes: &mut Nodes<'_>,
    steps: &mut Steps<'_>,
    limits: Limits,
    (from, to): (i64, i64),
) -> Result<Way, rusqlite::Error> {
    if from == to {
        return Ok(Way { nodes: vec![from], ..Way::default() });
    }
    let side = |towards, id| Side { towards, reached: HashMap::from([(id, None)]), edge_of_search: vec![id] };
    let (mut down, mut up) = (side(Towards::Downstream, from), side(Towards::Upstream, to));
    let mut is_truncated = false;
    for _ in 0..limits.depth {
        if down.edge_of_search.is_empty() || up.edge_of_search.is_empty() {
            break;
        }
        let is_down = down.edge_of_search.len() <= up.edge_of_search.len();
        let (near, far) = if is_down { (&mut down, &up) } else { (&mut up, &down) };
        let mut next = vec![];
        let mut meeting = None;
        for id in std::mem::take(&mut near.edge_of_search) {
            let (found, has_more) = steps.of(nodes, id, near.towards, limits.edges_per_node_max)?;
            is_truncated |= has_more;
            for (edge, other) in found {
                if near.reached.contains_key(&other) {
                    continue;
                }
                // What closes the way is taken however much was met.
                if near.reached.len() >= limits.nodes_max && !far.reached.contains_key(&other) {
                    is_truncated = true;
                    continue;
                }
                near.reached.insert(other, Some(edge));
                next.push(other);
                if far.reached.contains_key(&other) {
                    meeting = Some(other);
                }
            }
        }
        near.edge_of_search = next;
        if let Some(meeting) = meeting {
            return Ok(Way { is_truncated, ..joined(&down, &up, meeting) });
        }
    }
    is_truncated |= !down.edge_of_search.is_empty() && !up.edge_of_search.is_empty();
    Ok(Way { is_truncated, ..Way::default() })
}

/// The way over the node where both searches met.
fn joined(down: &Side, up: &Side, meeting: i64) -> Way {
    let (mut before, mut at) = (vec![], meeting);
    while let Some(Some(edge)) = down.reached.get(&at) {
        before.push(*edge);
        at = edge.source;
    }
    before.reverse();
    let mut nodes: Vec<i64> = std::iter::once(at).chain(before.iter().map(|edge| edge.target)).collect();
    let mut edges = before;
    at = meeting;
    while let Some(Some(edge)) = up.reached.get(&at) {
        edges.push(*edge);
        at = edge.target;
        nodes.push(at);
    }
    Way { nodes, edges, is_truncated: false }
}
