use cairn_search::{COMPARISONS_MAX, FILTER_BYTES_MAX};

use super::*;

fn at(text: &str) -> (usize, String) {
    match run_filter(text).unwrap_err() {
        SearchFault::Filter { at, message } => (at, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_filter_is_read_with_all_its_spellings() {
    let metric = |key: &str| RunCondition::Metric { key: key.into(), compare: Compare::Gt, value: 0.9 };
    for (text, key) in [
        ("metrics.auc > 0.9", "auc"),
        ("metric.auc>9e-1", "auc"),
        ("METRICS.`auc pr` > 0.9", "auc pr"),
        ("metrics.\"auc pr\" > 0.9", "auc pr"),
        ("metrics.val/auc.pr-1 > +0.9", "val/auc.pr-1"),
    ] {
        assert_eq!(run_filter(text).unwrap(), [metric(key)], "{text}");
    }
    let read = run_filter("params.a = 'x' and tags.b IS NOT NULL AND run_id IN ('r', \"s\") AND status != 'FAILED'");
    let expected = [
        RunCondition::Param { key: "a".into(), text: Text::Eq("x".into()) },
        RunCondition::Tag { key: "b".into(), text: Text::IsNotNull },
        RunCondition::Text { column: TextColumn::RunId, text: Text::In(vec!["r".into(), "s".into()]) },
        RunCondition::Text { column: TextColumn::Status, text: Text::Ne("FAILED".into()) },
    ];
    assert_eq!(read.unwrap(), expected);
    assert_eq!(run_filter("  ").unwrap(), []);
    let created = RunCondition::Time { column: TimeColumn::Start, compare: Compare::Ge, value: 1e12 };
    assert_eq!(run_filter("attributes.created >= 1000000000000").unwrap(), [created]);
}

#[test]
fn a_filter_that_is_not_one_is_refused_at_the_place() {
    for (text, place, part) in [
        ("metrics.a > 'x'", 12, "a number"),
        ("params.a = 5", 11, "text in quotes"),
        ("params.a = x", 11, "quotes"),
        ("metrics.a > 1 OR metrics.b > 1", 14, "AND only"),
        ("metrics.a > 1 AND", 17, "expected what to compare"),
        ("metrics.a 1", 10, "comparator"),
        ("(metrics.a > 1)", 0, "expected what to compare"),
        ("tags.a LIKE 'x", 12, "not closed"),
        ("nothing.a = 'x'", 0, "none of metrics"),
        ("colour = 'x'", 0, "no attribute"),
        ("status IN ('a')", 0, "IN"),
        ("run_id IN ('a' 'b')", 15, "expected ','"),
        ("metrics.a > 1;", 13, "unexpected"),
        ("metrics.a ! 1", 10, "'='"),
        ("metrics. > 1", 9, "expected a key"),
    ] {
        let (at, message) = at(text);
        assert_eq!(at, place, "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
    }
    assert!(run_filter(&"a".repeat(FILTER_BYTES_MAX + 1)).is_err());
    let many = vec!["metrics.a > 1"; COMPARISONS_MAX + 1].join(" AND ");
    assert!(run_filter(&many).is_err());
}

#[test]
fn an_order_names_each_field_once() {
    let order = |terms: &[&str]| run_order(&terms.iter().map(|term| (*term).to_owned()).collect::<Vec<_>>());
    let read = order(&["metrics.`a b` desc", "start_time", "params.x ASC"]).unwrap();
    assert_eq!(read[0], Ordered { key: RunOrder::Metric("a b".into()), is_descending: true });
    assert_eq!(read[1], Ordered { key: RunOrder::Time(TimeColumn::Start), is_descending: false });
    for terms in
        [&["metrics.a", "metric.a DESC"][..], &["metrics.a downwards"], &["datasets.name"], &["metrics.a, b"], &[""]]
    {
        assert!(order(terms).is_err(), "{terms:?} was accepted");
    }
}

#[test]
fn experiments_and_logged_models_have_their_own_fields() {
    assert!(experiment_filter("name ILIKE 'fraud%' AND tags.team = 'risk' AND creation_time > 5").is_ok());
    assert!(experiment_filter("metrics.a > 1").is_err());
    assert!(logged_model_filter("name = 'm' AND metrics.f1 >= 0.5 AND params.a LIKE 'x%'").is_ok());
    assert!(logged_model_filter("run_id = 'x'").is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "[ -~é\n]{0,60}") {
        let _ = run_filter(&text);
        let _ = run_order(&[text]);
    }
}
