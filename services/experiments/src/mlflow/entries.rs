//! Metrics, params and tags as clients send them.

use std::collections::BTreeMap;

use tonic::Status;

use super::fault::{invalid, missing};
use super::proto;
use super::required::{check_key, cut};
use crate::app::NewBatch;
use crate::model::entry::{PARAM_CHARS_MAX, TAG_CHARS_MAX};
use crate::model::points::PointsBuilder;
use crate::model::{Points, Subject};

/// Most things of each kind in one batch, and together.
const METRICS_PER_BATCH_MAX: usize = 1000;
const PARAMS_PER_BATCH_MAX: usize = 100;
const TAGS_PER_BATCH_MAX: usize = 100;
const ENTRIES_PER_BATCH_MAX: usize = 1000;

/// A key and its value, each of which may be missing.
pub(super) trait Pair {
    fn parts(self) -> (Option<String>, Option<String>);
}

macro_rules! pairs {
    ($($message:ident),+) => {
        $(impl Pair for proto::$message {
            fn parts(self) -> (Option<String>, Option<String>) {
                (self.key, self.value)
            }
        })+
    };
}
pairs!(Param, RunTag, ExperimentTag, LoggedModelTag, LoggedModelParameter, InputTag);

/// A metric as one request or an entry of a batch sends it. `at` is where the messages say that it stands.
pub(super) fn push_metric(points: &mut PointsBuilder, metric: proto::Metric, at: &str) -> Result<(), Status> {
    let field = |name: &str| format!("{at}{name}");
    let key = metric.key.filter(|key| !key.is_empty()).ok_or_else(|| missing(&field("key")))?;
    let value = metric.value.ok_or_else(|| missing(&field("value")))?;
    let time_ms = metric.timestamp.ok_or_else(|| missing(&field("timestamp")))?;
    check_key(&field("name"), &key)?;
    if time_ms < 0 {
        return Err(invalid(format!(
            "Invalid value {time_ms} for parameter '{}' supplied: metric '{key}' (value={value}). Timestamp must be a \
             nonnegative long (64-bit integer) ",
            field("timestamp")
        )));
    }
    let subject = Subject {
        model: metric.model_id.unwrap_or_default(),
        dataset_name: metric.dataset_name.unwrap_or_default(),
        dataset_digest: metric.dataset_digest.unwrap_or_default(),
    };
    let subject = (subject != Subject::default()).then_some(subject);
    points.push(&key, subject, metric.step.unwrap_or_default(), time_ms, value);
    Ok(())
}

/// Params by key, their values cut to what is kept.
pub(super) fn params(given: Vec<impl Pair>) -> Result<BTreeMap<String, String>, Status> {
    let mut params = BTreeMap::new();
    let mut twice = vec![];
    for (at, (key, value)) in given.into_iter().map(Pair::parts).enumerate() {
        let key = key.filter(|key| !key.is_empty()).ok_or_else(|| missing(&format!("params[{at}].key")))?;
        check_key(&format!("params[{at}].key"), &key)?;
        if params.insert(key.clone(), cut(value.unwrap_or_default(), PARAM_CHARS_MAX)).is_some() {
            twice.push(key);
        }
    }
    if twice.is_empty() {
        return Ok(params);
    }
    let twice: Vec<_> = twice.iter().map(|key| format!("'{key}'")).collect();
    Err(invalid(format!(
        "Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains only one param value \
         per param key.",
        twice.join(", ")
    )))
}

/// Tags by key, the last of each, their values cut to what is kept.
pub(super) fn tags(given: Vec<impl Pair>) -> Result<BTreeMap<String, String>, Status> {
    let mut tags = BTreeMap::new();
    for (at, (key, value)) in given.into_iter().map(Pair::parts).enumerate() {
        let key = key.filter(|key| !key.is_empty()).ok_or_else(|| missing(&format!("tags[{at}].key")))?;
        check_key(&format!("tags[{at}].key"), &key)?;
        tags.insert(key, cut(value.unwrap_or_default(), TAG_CHARS_MAX));
    }
    Ok(tags)
}

/// A batch within MLflow's limits.
pub(super) fn batch(request: proto::LogBatchRequest) -> Result<NewBatch, Status> {
    let proto::LogBatchRequest { metrics, params: given, tags: tagged, .. } = request;
    let entries = metrics.len() + given.len() + tagged.len();
    for (count, max, what) in [
        (metrics.len(), METRICS_PER_BATCH_MAX, "metrics"),
        (given.len(), PARAMS_PER_BATCH_MAX, "params"),
        (tagged.len(), TAGS_PER_BATCH_MAX, "tags"),
        (entries, ENTRIES_PER_BATCH_MAX, "metrics, params, and tags"),
    ] {
        if count > max {
            return Err(invalid(format!(
                "A batch logging request can contain at most {max} {what}. Got {count} {what}. Please split up {what} \
                 across multiple requests and try again."
            )));
        }
    }
    let mut points = Points::builder();
    for (at, metric) in metrics.into_iter().enumerate() {
        push_metric(&mut points, metric, &format!("metrics[{at}]."))?;
    }
    Ok(NewBatch { id: None, metrics: points.finish(), params: params(given)?, tags: tags(tagged)? })
}
