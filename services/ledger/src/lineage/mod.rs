//! What was made from what: a graph made of events by what the contract says of them.
//!
//! Knows no service's events: an event joins by its `(cairn.options.v1.lineage)` option.

mod annotation;
mod filters;
mod graph;
mod graphml;
mod nodes;
mod openlineage;
mod path;
#[cfg(test)]
mod spec;
mod template;
mod walk;

use cairn_kernel::Name;
use rusqlite::Connection;

use crate::scope::Scope;

pub use annotation::{Annotations, Broken};
pub use graph::Graph;
pub use graphml::GraphMl;
pub use nodes::{ENDLESS, EdgeRow, NodeRow, Nodes, NodesPage, View, find, list};
pub use openlineage::{Limits as ReceiveLimits, read, stories};
pub use path::shortest;
pub use walk::{Limits, Steps, Towards, Walk};

/// The names that lie one way from a node, as somebody sees them who sees everything: an answer without its door, so that
/// it can be measured. A node that is not there has none.
pub fn names_around(
    connection: &Connection,
    name: &str,
    towards: Towards,
    limits: Limits,
) -> Result<Vec<String>, rusqlite::Error> {
    let view = View { scope: Scope(vec![Name::ROOT]), until: i64::MAX - 1 };
    let mut nodes = Nodes::new(connection, view)?;
    let Some(start) = find(connection, name)? else { return Ok(vec![]) };
    let steps = Steps::new(connection, &[])?;
    let walked = Walk { nodes: &mut nodes, steps, limits }.from(start, &[towards])?;
    let mut names = vec![];
    for (id, _) in walked.found {
        names.extend(nodes.row(id)?.map(|node| node.name.to_string()));
    }
    Ok(names)
}
