//! The rules of a search, read aloud.

use std::cmp::Ordering;

use cairn_experiments::query::RunRecord;
use cairn_experiments::search::{
    Compare, DatasetColumn, Ordered, RunCondition, RunOrder, Text, TextColumn, TimeColumn,
};
use cairn_kernel::Time;

/// The ids of the runs that match, in order.
pub fn naive(
    runs: &[RunRecord],
    experiments: &[String],
    filter: &[RunCondition],
    order: &[Ordered<RunOrder>],
) -> Vec<String> {
    let is_wanted = |run: &&RunRecord| experiments.iter().any(|experiment| experiment == run.name.experiment());
    let mut found: Vec<&RunRecord> =
        runs.iter().filter(is_wanted).filter(|run| filter.iter().all(|condition| matches(run, condition))).collect();
    let has_start = order.iter().any(|term| term.key == RunOrder::Time(TimeColumn::Start));
    found.sort_by(|a, b| {
        let terms = order.iter().map(|term| by(a, b, term)).find(|ordering| ordering.is_ne());
        let newest = if has_start { Ordering::Equal } else { b.start_time.cmp(&a.start_time) };
        terms.unwrap_or(Ordering::Equal).then(newest).then_with(|| a.name.run().cmp(b.name.run()))
    });
    found.into_iter().map(|run| run.name.run().to_owned()).collect()
}

fn by(a: &RunRecord, b: &RunRecord, term: &Ordered<RunOrder>) -> Ordering {
    let way = |ordering: Ordering| if term.is_descending { ordering.reverse() } else { ordering };
    let text = |a: Option<&str>, b: Option<&str>| {
        // What is missing stands last, whichever way.
        a.is_none().cmp(&b.is_none()).then(way(a.cmp(&b)))
    };
    match &term.key {
        RunOrder::Metric(key) => {
            let rank = |value: Option<f64>| value.map_or(2, |value| i32::from(value.is_nan()));
            let (a, b) = (metric(a, key), metric(b, key));
            rank(a).cmp(&rank(b)).then(way(a.partial_cmp(&b).unwrap_or(Ordering::Equal)))
        }
        RunOrder::Param(key) => text(pair(&a.params, key), pair(&b.params, key)),
        RunOrder::Tag(key) => text(pair(&a.tags, key), pair(&b.tags, key)),
        RunOrder::Text(column) => text(Some(column_of(a, *column)), Some(column_of(b, *column))),
        RunOrder::Time(TimeColumn::Start) => way(a.start_time.cmp(&b.start_time)),
        RunOrder::Time(TimeColumn::End) => {
            a.end_time.is_none().cmp(&b.end_time.is_none()).then(way(a.end_time.cmp(&b.end_time)))
        }
    }
}

fn matches(run: &RunRecord, condition: &RunCondition) -> bool {
    match condition {
        RunCondition::Metric { key, compare, value } => {
            metric(run, key).is_some_and(|is| compares(is, *compare, *value))
        }
        RunCondition::Param { key, text } => asks(pair(&run.params, key), text),
        RunCondition::Tag { key, text } => asks(pair(&run.tags, key), text),
        RunCondition::Text { column, text } => asks(Some(column_of(run, *column)), text),
        RunCondition::Time { column, compare, value } => {
            let time = if *column == TimeColumn::Start { Some(run.start_time) } else { run.end_time };
            time.map(Time::millis).is_some_and(|ms| compares(ms as f64, *compare, *value))
        }
        RunCondition::Dataset { column, text } => run.datasets.iter().any(|dataset| {
            asks(
                match column {
                    DatasetColumn::Name => Some(dataset.display_name.as_str()),
                    DatasetColumn::Digest => Some(dataset.digest.as_str()),
                    DatasetColumn::Context => dataset.tags.get("mlflow.data.context").map(String::as_str),
                },
                text,
            )
        }),
    }
}

fn compares(is: f64, compare: Compare, value: f64) -> bool {
    match compare {
        Compare::Eq => is == value,
        Compare::Ne => is != value,
        Compare::Gt => is > value,
        Compare::Ge => is >= value,
        Compare::Lt => is < value,
        Compare::Le => is <= value,
    }
}

fn asks(is: Option<&str>, text: &Text) -> bool {
    let Some(is) = is else { return *text == Text::IsNull };
    match text {
        Text::Eq(value) => is == value,
        Text::Ne(value) => is != value,
        Text::Like(pattern) => like(is, pattern),
        Text::ILike(pattern) => like(&is.to_ascii_lowercase(), &pattern.to_ascii_lowercase()),
        Text::In(values) => values.iter().any(|value| value == is),
        Text::NotIn(values) => values.iter().all(|value| value != is),
        Text::IsNull => false,
        Text::IsNotNull => true,
    }
}

fn like(text: &str, pattern: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('%') => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| like(&text[at..], rest.as_str()))
        }
        Some(wanted) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|c| (wanted == '_' || wanted == c) && like(chars.as_str(), rest.as_str()))
        }
    }
}

fn metric(run: &RunRecord, key: &str) -> Option<f64> {
    run.metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value)
}

fn pair<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

fn column_of(run: &RunRecord, column: TextColumn) -> &str {
    match column {
        TextColumn::RunId => run.name.run(),
        TextColumn::RunName => &run.display_name,
        TextColumn::Status => run.state.as_str(),
        TextColumn::UserId => &run.user,
        TextColumn::ArtifactUri => &run.artifact_location,
    }
}
