use super::*;

fn at(text: &str) -> (usize, String) {
    match parse(text).unwrap_err() {
        SearchFault::Filter { at, message } => (at, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn comparisons_are_read_before_anybody_knows_of_what() {
    let read = parse("metrics.`auc pr` > 0.9 and name IN ('a', \"b\") AND tags.x IS NOT NULL").unwrap();
    let left: Vec<_> = read.iter().map(|one| (one.left.entity.as_deref(), one.left.key.as_str())).collect();
    assert_eq!(left, [(Some("metrics"), "auc pr"), (None, "name"), (Some("tags"), "x")]);
    assert_eq!(read[0].number(), Ok((Compare::Gt, 0.9)));
    assert_eq!(read[1].text(true), Ok(Text::In(vec!["a".into(), "b".into()])));
    assert_eq!(read[2].pair(), Ok(Text::IsNotNull));
    assert_eq!(parse(" ").unwrap(), []);
}

#[test]
fn what_is_no_filter_is_refused_at_its_place() {
    for (text, place, part) in [
        ("a = 'x' OR b = 'y'", 8, "AND only"),
        ("a LIKE 'x", 7, "not closed"),
        ("a 1", 2, "comparator"),
        ("tags. = 'x'", 6, "expected a key"),
    ] {
        let (found, message) = at(text);
        assert_eq!(found, place, "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
    }
    assert!(parse(&"a".repeat(FILTER_BYTES_MAX + 1)).is_err());
    assert!(parse(&vec!["a = 'x'"; COMPARISONS_MAX + 1].join(" AND ")).is_err());
}

#[test]
fn an_order_names_each_field_once() {
    let read = |terms: &[&str]| {
        let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
        order(&terms, |identifier| Ok(identifier.key.clone()))
    };
    let terms = read(&["name DESC", "`a b`"]).unwrap();
    assert_eq!(terms[0], Ordered { key: "name".to_owned(), is_descending: true });
    assert_eq!(terms[1], Ordered { key: "a b".to_owned(), is_descending: false });
    assert!(read(&["a", "a DESC"]).is_err());
    assert!(read(&["a"; ORDER_TERMS_MAX + 1]).is_err());
}

#[test]
fn a_page_goes_on_only_in_the_search_it_belongs_to() {
    let (one, other) = (fingerprint(&"one"), fingerprint(&"other"));
    let values = vec![rusqlite::types::Value::Integer(7), rusqlite::types::Value::Real(f64::INFINITY)];
    let next = token(&one, values.clone());
    assert_eq!(marks(&one, &next), Ok(Some(values)));
    assert_eq!(marks(&one, ""), Ok(None));
    assert_eq!(marks(&other, &next), Err(SearchFault::PageToken));
    assert_eq!(marks(&one, "nonsense"), Err(SearchFault::PageToken));
}

#[test]
fn every_word_of_a_caller_is_a_parameter() {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    for word in ["' OR 1=1 --", "%", "a\"b", "\u{0}"] {
        let mut sql = Sql::default();
        sql.push("SELECT ").bind(word.to_owned()).push(" WHERE ").text("'x'", &Text::Ne(word.to_owned()));
        let found: Vec<String> = sql.rows(&db, |row| row.get(0)).unwrap();
        assert_eq!(found, [word]);
    }
    assert_eq!(glob("a%_*[?"), "a*?[*][[][?]");
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "[ -~é\n]{0,60}") {
        let _ = parse(&text);
        let _ = order(&[text], |identifier| Ok(identifier.key.clone()));
    }
}
