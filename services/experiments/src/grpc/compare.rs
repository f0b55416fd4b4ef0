use std::collections::{BTreeMap, BTreeSet};

use cairn_contract::cairn::experiments::v1::{
    CompareRunsResponse, ComparedCell, ComparedMetric, ComparedRow, ComparedValue,
};

use crate::model::entry::tag::RESERVED_PREFIX;
use crate::query::RunRecord;

/// Tags that tell which code ran.
const SOURCE_PREFIX: &str = "mlflow.source.";

/// Puts runs side by side.
pub(super) fn compare(runs: &[RunRecord], differing_only: bool) -> CompareRunsResponse {
    let tags = |keep: fn(&str) -> bool| {
        rows(runs, differing_only, |run| run.tags.iter().filter(|(key, _)| keep(key)).cloned().collect())
    };
    CompareRunsResponse {
        runs: runs.iter().map(|run| run.name.to_string()).collect(),
        attributes: rows(runs, differing_only, attributes),
        params: rows(runs, differing_only, |run| run.params.iter().cloned().collect()),
        tags: tags(|key| !key.starts_with(RESERVED_PREFIX)),
        code: tags(|key| key.starts_with(SOURCE_PREFIX)),
        datasets: rows(runs, differing_only, |run| {
            run.datasets.iter().map(|dataset| (dataset.display_name.clone(), dataset.digest.clone())).collect()
        }),
        metrics: metrics(runs, differing_only),
    }
}

fn attributes(run: &RunRecord) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::from([
        ("display_name", run.display_name.clone()),
        ("experiment_revision", run.experiment_revision.to_string()),
        ("start_time", run.start_time.to_string()),
        ("state", run.state.to_string()),
        ("user", run.user.clone()),
    ]);
    attributes.extend(run.end_time.map(|time| ("end_time", time.to_string())));
    attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// One row for each key that any of the runs has.
fn rows(
    runs: &[RunRecord],
    differing_only: bool,
    pairs: impl Fn(&RunRecord) -> BTreeMap<String, String>,
) -> Vec<ComparedRow> {
    let columns: Vec<_> = runs.iter().map(pairs).collect();
    let keys: BTreeSet<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
    let row = |key: &String| {
        let cells: Vec<_> = columns.iter().map(|pairs| ComparedCell { value: pairs.get(key).cloned() }).collect();
        let differs = cells.windows(2).any(|pair| pair[0] != pair[1]);
        ComparedRow { key: key.clone(), cells, differs }
    };
    keys.into_iter().map(row).filter(|row| row.differs || !differing_only).collect()
}

fn metrics(runs: &[RunRecord], differing_only: bool) -> Vec<ComparedMetric> {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.metrics.iter().map(|metric| &metric.key)).collect();
    let row = |key: &String| {
        let value = |run: &RunRecord| run.metrics.iter().find(|metric| metric.key == *key).map(|metric| metric.value);
        let values: Vec<Option<f64>> = runs.iter().map(value).collect();
        // Bit by bit: NaN is the same as NaN.
        let differs = values.windows(2).any(|pair| pair[0].map(f64::to_bits) != pair[1].map(f64::to_bits));
        let cells = values.into_iter().map(|value| ComparedValue { value }).collect();
        ComparedMetric { key: key.clone(), cells, differs }
    };
    keys.into_iter().map(row).filter(|row| row.differs || !differing_only).collect()
}
