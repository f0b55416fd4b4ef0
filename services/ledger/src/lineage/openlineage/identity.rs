//! How a namespace and a name become a node, and a node a namespace and a name again.

use cairn_kernel::Name;

use super::NAMESPACE;
use crate::lineage::filters::{pair, segment, uri};
use crate::lineage::nodes::NodeRow;

/// A thing of Cairn's own, named as one.
pub fn resource(namespace: &str, name: &str) -> Option<Name> {
    (namespace == NAMESPACE).then(|| name.parse().ok()).flatten().filter(|name: &Name| name.project().is_some())
}

/// The node of a dataset in a project, and what people call it. An address that means the same everywhere is the dataset
/// itself, however it is cut in two: so a file that a pipeline wrote is the one that a run read.
pub fn dataset(project: &Name, namespace: &str, name: &str) -> (String, String) {
    let address = format!("{}/{}", namespace.trim_end_matches('/'), name.trim_start_matches('/'));
    match uri(&address) {
        Some(uri) => (format!("{project}/datasets/{}", segment(&uri)), uri),
        None => (format!("{project}/datasets/{}", pair(namespace, name)), address),
    }
}

/// The node of a job in a project.
pub fn job(project: &Name, namespace: &str, name: &str) -> String {
    format!("{project}/jobs/{}", pair(namespace, name))
}

/// What the outside calls a node.
pub fn outside(node: &NodeRow) -> (String, String) {
    let cairn = || (NAMESPACE.to_owned(), node.name.to_string());
    if node.kind != "dataset" {
        return cairn();
    }
    if let Some((scheme, rest)) = node.label.split_once("://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        return (format!("{scheme}://{authority}"), if path.is_empty() { "/".to_owned() } else { path.to_owned() });
    }
    let id = node.name.segments().next_back().unwrap_or_default();
    match id.split_once('+').map(|(namespace, name)| (unescaped(namespace), unescaped(name))) {
        Some((Some(namespace), Some(name))) => (namespace, name),
        _ => cairn(),
    }
}

/// The text that a segment was made from, if it was made letter by letter.
fn unescaped(segment: &str) -> Option<String> {
    let (mut bytes, mut rest) = (vec![], segment.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first == b'~' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: String, label: &str) -> NodeRow {
        NodeRow {
            id: 1,
            name: name.parse().unwrap(),
            kind: "dataset".into(),
            label: label.into(),
            digest: String::new(),
            state: String::new(),
            is_ended: false,
            position: 1,
        }
    }

    #[test]
    fn a_dataset_is_the_same_going_in_and_coming_out() {
        let project: Name = "projects/p".parse().unwrap();
        for (namespace, name) in [
            ("s3://bucket", "a/b.parquet"),
            ("postgres://db.example:5432", "shop.public.orders"),
            ("food_delivery", "public.orders"),
            ("a+b", "c d"),
        ] {
            let (made, label) = dataset(&project, namespace, name);
            assert_eq!(outside(&node(made, &label)), (namespace.to_owned(), name.to_owned()));
        }
        assert_eq!(dataset(&project, "s3://bucket/a", "b"), dataset(&project, "s3a://bucket/", "/a/b"));
        assert_ne!(dataset(&project, "x/a", "b").0, dataset(&project, "x", "a/b").0);
    }

    #[test]
    fn only_a_resource_name_in_our_own_namespace_is_ours() {
        assert_eq!(resource("cairn", "projects/p/models/m").unwrap().as_str(), "projects/p/models/m");
        assert_eq!(resource("cairn", "users/u"), None);
        assert_eq!(resource("s3://cairn", "projects/p/models/m"), None);
    }
}
