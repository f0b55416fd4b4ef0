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
mod template;
mod walk;

pub use annotation::{Annotations, Broken};
pub use graph::Graph;
pub use graphml::GraphMl;
pub use nodes::{ENDLESS, EdgeRow, NodeRow, Nodes, NodesPage, View, find, list};
pub use openlineage::{Limits as ReceiveLimits, read, stories};
pub use path::shortest;
pub use walk::{Limits, Steps, Towards, Walk};
