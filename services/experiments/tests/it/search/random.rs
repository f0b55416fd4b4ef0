//! Runs and searches that meet often: few keys, few values, many ties.

use cairn_experiments::app::RunDraft;
use cairn_experiments::model::Points;
use cairn_experiments::model::run::Dataset;
use cairn_kernel::Time;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::support::pairs;

const TEXTS: [&str; 6] = ["x", "X", "xy", "a%b", "a_b", "*[?"];
const PATTERNS: [&str; 8] = ["x", "x%", "%Y", "_", "%", "a[%]b", "a_b", "*[?"];
const NUMBERS: [f64; 6] = [0.0, 1.0, -1.0, 0.5, 1e300, -1e300];

pub fn draft() -> impl Strategy<Value = (RunDraft, Points, Vec<Dataset>)> {
    let value = || prop_oneof![select(&NUMBERS[..]), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)];
    let some = |keys: &'static [&'static str]| {
        (subsequence(keys, 0..=keys.len()), prop::collection::vec(select(&TEXTS[..]), keys.len()))
            .prop_map(|(keys, values)| keys.into_iter().zip(values).collect::<Vec<_>>())
    };
    let measured = (subsequence(&["m", "n n"][..], 0..=2), prop::collection::vec(value(), 2));
    let dataset = prop::option::of((select(&TEXTS[..]), select(&TEXTS[..]), prop::option::of(select(&TEXTS[..]))));
    (some(&["p", "q q"]), some(&["t"]), measured, dataset, 0_i64..4, select(&TEXTS[..])).prop_map(
        |(params, tags, (keys, values), dataset, start, name)| {
            let mut points = Points::builder();
            for (key, value) in keys.into_iter().zip(values) {
                points.push(key, None, 0, 0, value);
            }
            let draft = RunDraft {
                display_name: name.into(),
                user: name.to_lowercase(),
                start_time: Some(Time::from_millis(start)),
                params: pairs(&params),
                tags: pairs(&tags),
                ..RunDraft::default()
            };
            let datasets = dataset.into_iter().map(|(name, digest, context)| Dataset {
                display_name: name.into(),
                digest: digest.into(),
                tags: context.map(|context| pairs(&[("mlflow.data.context", context)])).unwrap_or_default(),
                ..Dataset::default()
            });
            (draft, points.finish(), datasets.collect())
        },
    )
}

pub fn filter() -> impl Strategy<Value = String> {
    prop::collection::vec(comparison(), 0..4).prop_map(|comparisons| comparisons.join(" AND "))
}

fn comparison() -> impl Strategy<Value = String> {
    let number = (select(&["metrics.m", "metrics.`n n`", "metrics.none"][..]), compare(), select(&NUMBERS[..]))
        .prop_map(|(left, compare, value)| format!("{left} {compare} {value:e}"));
    let time = (select(&["start_time", "attributes.end_time"][..]), compare(), 0..4)
        .prop_map(|(left, compare, value)| format!("{left} {compare} {value}"));
    let pair = (select(&["params.p", "params.`q q`", "tags.t", "tags.none"][..]), text(true))
        .prop_map(|(left, text)| format!("{left} {text}"));
    let attribute = (select(&["run_name", "attributes.user_id", "status", "artifact_uri"][..]), text(false))
        .prop_map(|(left, text)| format!("{left} {text}"));
    let dataset =
        (select(&["datasets.name", "dataset.digest", "datasets.context"][..]), prop_oneof![text(false), list()])
            .prop_map(|(left, text)| format!("{left} {text}"));
    prop_oneof![3 => number, 1 => time, 3 => pair, 1 => attribute, 1 => dataset]
}

fn compare() -> impl Strategy<Value = &'static str> {
    select(&["=", "!=", "<", "<=", ">", ">="][..])
}

fn text(may_be_absent: bool) -> BoxedStrategy<String> {
    let equal = (select(&["=", "!="][..]), select(&TEXTS[..])).prop_map(|(op, text)| format!("{op} '{text}'"));
    let like = (select(&["LIKE", "ilike"][..]), select(&PATTERNS[..])).prop_map(|(op, text)| format!("{op} '{text}'"));
    match may_be_absent {
        true => prop_oneof![equal, like, Just("IS NULL".to_owned()), Just("IS NOT NULL".to_owned())].boxed(),
        false => prop_oneof![equal, like].boxed(),
    }
}

fn list() -> impl Strategy<Value = String> {
    (select(&["IN", "NOT IN"][..]), prop::collection::vec(select(&TEXTS[..]), 1..3))
        .prop_map(|(op, texts)| format!("{op} ('{}')", texts.join("', '")))
}

pub fn order() -> impl Strategy<Value = Vec<String>> {
    let keys =
        ["metrics.m", "metrics.`n n`", "params.p", "tags.t", "start_time", "end_time", "run_name", "metrics.none"];
    let ways = prop::collection::vec(select(&["", " ASC", " DESC"][..]), 3);
    (subsequence(keys.to_vec(), 0..=3).prop_shuffle(), ways)
        .prop_map(|(keys, ways)| keys.iter().zip(ways).map(|(key, way)| format!("{key}{way}")).collect())
}
