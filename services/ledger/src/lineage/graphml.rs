use rusqlite::Connection;

use super::nodes::{EdgeRow, NodeRow, Nodes, View};

/// The graph as GraphML, piece by piece: first the nodes, then the edges between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphMl {
    Head,
    /// After this node.
    Nodes(i64),
    /// After this edge: source, target, relation, position.
    Edges([i64; 4]),
    Done,
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="name" for="node" attr.name="name" attr.type="string"/>
<key id="type" for="node" attr.name="type" attr.type="string"/>
<key id="label" for="node" attr.name="label" attr.type="string"/>
<key id="digest" for="node" attr.name="digest" attr.type="string"/>
<key id="state" for="node" attr.name="state" attr.type="string"/>
<key id="ended" for="node" attr.name="ended" attr.type="boolean"/>
<key id="relation" for="edge" attr.name="relation" attr.type="string"/>
<key id="position" for="all" attr.name="position" attr.type="long"/>
<graph edgedefault="directed">
"#;
const FOOT: &str = "</graph>\n</graphml>\n";

impl GraphMl {
    /// The next piece, over at most `rows_max` rows of the tables, and where to go on.
    pub fn next(self, connection: &Connection, view: View, rows_max: usize) -> Result<(String, Self), rusqlite::Error> {
        let until = view.until;
        let mut nodes = Nodes::new(connection, view)?;
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let mut text = String::new();
        match self {
            Self::Head => Ok((HEAD.to_owned(), Self::Nodes(0))),
            Self::Nodes(after) => {
                let mut find =
                    connection.prepare_cached("SELECT id FROM lineage_node WHERE id > ?1 ORDER BY id LIMIT ?2")?;
                let ids = find.query_map([after, limit], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
                for id in &ids {
                    if let Some(node) = nodes.row(*id)? {
                        text.push_str(&node_element(&node));
                    }
                }
                let is_last = ids.len() < rows_max;
                Ok((text, ids.last().filter(|_| !is_last).map_or(Self::Edges([0; 4]), |last| Self::Nodes(*last))))
            }
            Self::Edges([source, target, relation, position]) => {
                let mut find = connection.prepare_cached(
                    "SELECT source, target, relation, position, end_position, time_micros FROM lineage_edge
                     WHERE (source, target, relation, position) > (?1, ?2, ?3, ?4)
                     ORDER BY source, target, relation, position LIMIT ?5",
                )?;
                let edges = find.query_map([source, target, relation, position, limit], EdgeRow::of)?;
                let edges = edges.collect::<Result<Vec<_>, _>>()?;
                for edge in &edges {
                    if edge.is_there(until) && nodes.sees(edge.source)? && nodes.sees(edge.target)? {
                        let relation = nodes.word(edge.relation)?;
                        text.push_str(&edge_element(edge, &relation));
                    }
                }
                match edges.last().filter(|_| edges.len() == rows_max) {
                    Some(last) => Ok((text, Self::Edges([last.source, last.target, last.relation, last.position]))),
                    None => Ok((text + FOOT, Self::Done)),
                }
            }
            Self::Done => Ok((text, Self::Done)),
        }
    }
}

fn node_element(node: &NodeRow) -> String {
    let mut element = format!("<node id=\"n{}\">", node.id);
    let mut data = |key: &str, value: &str| {
        if !value.is_empty() {
            element.push_str(&format!("<data key=\"{key}\">{}</data>", escaped(value)));
        }
    };
    // What people call it, else what it is called.
    data("label", if node.label.is_empty() { node.name.as_str() } else { &node.label });
    data("name", node.name.as_str());
    data("type", &node.kind);
    data("digest", &node.digest);
    data("state", &node.state);
    data("ended", if node.is_ended { "true" } else { "" });
    data("position", &node.position.to_string());
    element + "</node>\n"
}

fn edge_element(edge: &EdgeRow, relation: &str) -> String {
    let EdgeRow { source, target, position, .. } = edge;
    let relation = escaped(relation);
    format!(
        "<edge source=\"n{source}\" target=\"n{target}\"><data key=\"relation\">{relation}</data>\
         <data key=\"position\">{position}</data></edge>\n"
    )
}

/// A text inside an element. What XML has no character for is shown as unknown.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\t' | '\n' | '\r' => escaped.push(c),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_stand_in_xml() {
        assert_eq!(escaped("a<b>&\"\u{1}\u{ffff}é"), "a&lt;b&gt;&amp;\"\u{fffd}\u{fffd}é");
    }
}
