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

/// What the terms say of a world in which `a`, `b` and `c` are true or not.
fn holds(terms: &[Term<Comparison>], world: &[(&str, bool)]) -> bool {
    terms.iter().all(|term| match term {
        Term::Is(one) => world.iter().any(|(name, is_true)| *name == one.left.key && *is_true),
        Term::Not(terms) => !holds(terms, world),
        Term::Any(branches) => branches.iter().any(|branch| holds(branch, world)),
    })
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    for (text, wanted) in [
        ("a = 1 or b = 1 and c = 1", "a | b & c"),
        ("(a = 1 OR b = 1) AND c = 1", "(a | b) & c"),
        ("NOT a = 1 AND b = 1", "!a & b"),
        ("NOT (a = 1 AND NOT (b = 1 OR c = 1))", "!(a & !(b | c))"),
        ("((a = 1))", "a"),
    ] {
        let terms = parse_terms(text).unwrap();
        let db = rusqlite::Connection::open_in_memory().unwrap();
        for bits in 0..8 {
            let world = [("a", bits & 1 != 0), ("b", bits & 2 != 0), ("c", bits & 4 != 0)];
            let mut expected = wanted.replace('!', "NOT ").replace('|', "OR").replace('&', "AND");
            for (name, is_true) in world {
                expected = expected.replace(name, if is_true { "1" } else { "0" });
            }
            let expected: bool = db.query_row(&format!("SELECT {expected}"), [], |row| row.get(0)).unwrap();
            assert_eq!(holds(&terms, &world), expected, "{text} in {world:?}");
            // SQL says the same, though of what is not there it would rather say nothing.
            let mut sql = Sql::default();
            sql.push("SELECT 1 WHERE 1");
            for term in &terms {
                sql.push(" AND ").term(term, &mut |sql, one: &Comparison| {
                    let is_true = world.iter().any(|(name, is_true)| *name == one.left.key && *is_true);
                    sql.push(if is_true { "1" } else { "NULL" });
                });
            }
            assert_eq!(!sql.rows(&db, |_| Ok(())).unwrap().is_empty(), expected, "{text} in {world:?}");
        }
    }
}

#[test]
fn parentheses_that_do_not_match_and_filters_without_end_are_refused_at_their_place() {
    for (text, place) in [("(a = 1", 6), ("a = 1)", 5), ("a = 1 OR", 8), ("NOT", 3), ("a = 1 b = 2", 6), ("()", 1)] {
        match parse_terms(text).unwrap_err() {
            SearchFault::Filter { at, message } => assert_eq!(at, place, "{text}: {message}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(parse_terms(&format!("{}a = 1{}", "(".repeat(NESTING_MAX), ")".repeat(NESTING_MAX))).is_ok());
    assert!(parse_terms(&format!("{}a = 1", "NOT ".repeat(NESTING_MAX + 1))).is_err());
    assert!(parse_terms(&vec!["a = 1"; COMPARISONS_MAX + 1].join(" OR ")).is_err());
    assert_eq!(parse_terms(" "), Ok(vec![]));
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
        let _ = parse_terms(&text);
        let _ = order(&[text], |identifier| Ok(identifier.key.clone()));
    }
}
