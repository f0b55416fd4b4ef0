use std::collections::BTreeMap;

use cairn_contract::cairn::experiments::events::v1 as proto;
use cairn_eventstore::{Direction, EventStore, ReadFault};
use cairn_kernel::{Name, Revision, StreamName};
use prost::Message;

use super::VersionView;

/// Stream of a run, which belongs to another service.
const RUNS: &str = "experiments.run";
const METRICS: &str = "cairn.experiments.events.v1.MetricsLogged";
const PARAMS: &str = "cairn.experiments.events.v1.ParamsLogged";
/// Newest events of a run that are looked at. What was measured before these is not seen.
const EVENTS_MAX: usize = 2_000;
/// Of these, so many at a time.
const PAGE: usize = 500;

/// Step, time and value: of points of one metric the largest counts, as MLflow counts.
type Point = (i64, i64, f64);

/// A version with what its run has measured and was given, where the version does not say it itself.
///
/// Read from the run's own stream, newest first, and only so far back: whoever registers a version has just measured it.
pub(crate) async fn overlaid(store: &dyn EventStore, mut version: VersionView) -> Result<VersionView, ReadFault> {
    let facts = &version.facts;
    version.metrics = facts.metrics.as_ref().clone();
    version.params.clone_from(&facts.hyperparameters);
    let Some(stream) = stream(&facts.source_run) else { return Ok(version) };
    let (mut points, mut seen, mut from) = (BTreeMap::<String, Point>::new(), 0, Revision(u64::MAX));
    while seen < EVENTS_MAX {
        let page = store.read(&stream, from, Direction::Backwards, PAGE).await?;
        for event in &page {
            match event.kind.as_ref() {
                METRICS => gather(&event.payload, &mut points),
                PARAMS => {
                    let params = proto::ParamsLogged::decode(event.payload.clone()).unwrap_or_default().params;
                    for (key, value) in params {
                        version.params.entry(key).or_insert(value);
                    }
                }
                _ => {}
            }
        }
        seen += page.len();
        match page.last() {
            Some(last) if page.len() == PAGE && last.revision.0 > 0 => from = Revision(last.revision.0 - 1),
            _ => break,
        }
    }
    for (key, (_, _, value)) in points {
        version.metrics.entry(key).or_insert(value);
    }
    Ok(version)
}

/// The stream of a run, whose name does not say in which experiment it is. `None`: it is no run that is known here.
fn stream(run: &str) -> Option<StreamName> {
    let name: Name = run.parse().ok()?;
    let ids = name.matches("projects/*/experiments/*/runs/*")?;
    Some(StreamName::of(RUNS, format_args!("projects/{}/runs/{}", ids[0], ids[2])))
}

/// Takes the points of one batch that are about the run itself.
fn gather(payload: &bytes::Bytes, points: &mut BTreeMap<String, Point>) {
    let Ok(batch) = proto::MetricsLogged::decode(payload.clone()) else { return };
    let mut time = 0_i64;
    for (at, value) in batch.values.iter().enumerate() {
        time = time.saturating_add(batch.time_deltas_ms.get(at).copied().unwrap_or_default());
        let key = batch.key_indexes.get(at).copied().unwrap_or_default() as usize;
        let Some(key) = batch.keys.get(key) else { continue };
        let point = (batch.steps.get(at).copied().unwrap_or_default(), time, *value);
        let best = points.entry(key.clone()).or_insert(point);
        let order = (point.0, point.1).cmp(&(best.0, best.1)).then(point.2.total_cmp(&best.2));
        if order.is_gt() {
            *best = point;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_where_experiments_keep_it() {
        let found = stream("projects/p/experiments/1/runs/r").map(|stream| stream.to_string());
        assert_eq!(found.as_deref(), Some("experiments.run-projects/p/runs/r"));
        assert_eq!(stream("r"), None);
    }

    #[test]
    fn of_the_points_of_a_metric_the_last_step_counts() {
        let batch = proto::MetricsLogged {
            keys: vec!["accuracy".into(), "loss".into()],
            key_indexes: vec![0, 0, 1, 0],
            steps: vec![0, 2, 0, 1],
            time_deltas_ms: vec![1000, 1, 1, 1],
            values: vec![0.1, 0.2, 9.0, 0.3],
            ..proto::MetricsLogged::default()
        };
        let mut points = BTreeMap::new();
        gather(&batch.encode_to_vec().into(), &mut points);
        assert_eq!(points["accuracy"], (2, 1001, 0.2));
        assert_eq!(points["loss"], (0, 1002, 9.0));
    }
}
