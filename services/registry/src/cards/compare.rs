use std::collections::{BTreeMap, BTreeSet};

use cairn_contract::cairn::registry::v1 as proto;

use super::card::shape;
use crate::model::version::Tensor;
use crate::query::VersionRecord;

/// Puts versions side by side.
pub fn compare(versions: &[VersionRecord], differing_only: bool) -> proto::CompareModelVersionsResponse {
    let rows = |pairs: fn(&VersionRecord) -> BTreeMap<String, String>| rows(versions, differing_only, pairs);
    proto::CompareModelVersionsResponse {
        versions: versions.iter().map(|version| version.name.to_string()).collect(),
        attributes: rows(attributes),
        hyperparameters: rows(|version| version.facts.hyperparameters.clone()),
        tags: rows(|version| version.tags.clone()),
        metrics: metrics(versions, differing_only),
        signature: rows(signature),
    }
}

fn attributes(version: &VersionRecord) -> BTreeMap<String, String> {
    let facts = &version.facts;
    let attributes = [
        ("stage", version.stage.to_string()),
        ("aliases", version.aliases.join(", ")),
        ("framework", facts.framework.clone()),
        ("source_run", facts.source_run.clone()),
        ("source_uri", facts.source_uri.clone()),
        ("creator", version.creator.clone()),
        ("create_time", version.create_time.to_string()),
    ];
    let said = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// `inputs.age` → `int64`, `outputs.0` → `float32 [-1, 3] optional`.
fn signature(version: &VersionRecord) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let Some(signature) = &version.facts.signature else { return lines };
    for (side, tensors) in [("inputs", &signature.inputs), ("outputs", &signature.outputs)] {
        for (at, tensor) in tensors.iter().enumerate() {
            let label = if tensor.label.is_empty() { at.to_string() } else { tensor.label.clone() };
            lines.insert(format!("{side}.{label}"), told(tensor));
        }
    }
    lines
}

fn told(tensor: &Tensor) -> String {
    let optional = if tensor.is_optional { "optional" } else { "" };
    let parts = [tensor.dtype.clone(), shape(tensor), optional.to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// One row for each key that any of the versions has.
fn rows(
    versions: &[VersionRecord],
    differing_only: bool,
    pairs: impl Fn(&VersionRecord) -> BTreeMap<String, String>,
) -> Vec<proto::VersionRow> {
    let columns: Vec<_> = versions.iter().map(pairs).collect();
    let keys: BTreeSet<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
    let row = |key: &String| {
        let cells: Vec<_> = columns.iter().map(|pairs| proto::VersionCell { value: pairs.get(key).cloned() }).collect();
        let differs = cells.windows(2).any(|pair| pair[0] != pair[1]);
        proto::VersionRow { key: key.clone(), cells, differs }
    };
    keys.into_iter().map(row).filter(|row| row.differs || !differing_only).collect()
}

fn metrics(versions: &[VersionRecord], differing_only: bool) -> Vec<proto::VersionMetric> {
    let keys: BTreeSet<&String> = versions.iter().flat_map(|version| version.facts.metrics.keys()).collect();
    let row = |key: &String| {
        let values: Vec<Option<f64>> = versions.iter().map(|version| version.facts.metrics.get(key).copied()).collect();
        // Bit by bit: NaN is the same as NaN.
        let differs = values.windows(2).any(|pair| pair[0].map(f64::to_bits) != pair[1].map(f64::to_bits));
        let cells = values.into_iter().map(|value| proto::VersionNumber { value }).collect();
        proto::VersionMetric { key: key.clone(), cells, differs }
    };
    keys.into_iter().map(row).filter(|row| row.differs || !differing_only).collect()
}
