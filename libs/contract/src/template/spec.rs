use proptest::prelude::*;

use super::*;

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn bound(text: &str, path: &str) -> Option<Vec<(String, String)>> {
    let template = template(text);
    let bound = template.matches(path)?;
    Some(bound.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Option<Vec<(String, String)>> {
    Some(pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn a_path_fills_the_variables_it_matches() {
    for (text, path, expected) in [
        ("/api/v1/health", "/api/v1/health", pairs([])),
        ("/v1/{name}", "/v1/a", pairs([("name", "a")])),
        ("/v1/{name=projects/*}", "/v1/projects/a", pairs([("name", "projects/a")])),
        ("/v1/{name=projects/*}:archive", "/v1/projects/a:archive", pairs([("name", "projects/a")])),
        ("/v1/{parent=projects/*}/runs", "/v1/projects/a/runs", pairs([("parent", "projects/a")])),
        ("/v1/{a.name=x/*}/{b=*}", "/v1/x/1/2", pairs([("a.name", "x/1"), ("b", "2")])),
        ("/v1/*/{b}", "/v1/anything/2", pairs([("b", "2")])),
        ("/files/{path=**}", "/files/a/b:c/d.txt", pairs([("path", "a/b:c/d.txt")])),
        ("/files/{path=**}:sign", "/files/a/b:sign", pairs([("path", "a/b")])),
        ("/files/**", "/files/a/b", pairs([])),
    ] {
        assert_eq!(bound(text, path), expected, "{text} on {path}");
    }
}

#[test]
fn variables_are_decoded_after_matching() {
    assert_eq!(bound("/v1/{key}", "/v1/a%3Ab%20%C3%A9"), pairs([("key", "a:b é")]));
    assert_eq!(bound("/v1/{path=**}", "/v1/a%2Fb/c"), pairs([("path", "a/b/c")]));
    assert_eq!(bound("/v1/{key}", "/v1/%2541"), pairs([("key", "%41")]), "decoded once only");
}

#[test]
fn paths_that_could_be_read_in_two_ways_match_nothing() {
    for (text, path) in [
        ("/v1/{name}", "/v1/a%2Fb"),
        ("/v1/{name}", "/v1/a%2fb"),
        ("/v1/{name=projects/*}", "/v1/projects/.."),
        ("/v1/{name=projects/*}", "/v1/projects/%2e%2e"),
        ("/v1/{name=projects/*}", "/v1/projects/."),
        ("/v1/{name=projects/*}", "/v1/projects/"),
        ("/v1/{name=projects/*}", "/v1/projects"),
        ("/v1/{name=projects/*}", "/v1//projects/a"),
        ("/v1/{name=projects/*}", "/v1/projects/a/"),
        ("/v1/{name=projects/*}", "/v1/projects/a/b"),
        ("/v1/{name=projects/*}", "/v1/projects/a:archive"),
        ("/v1/{name=projects/*}:archive", "/v1/projects/a"),
        ("/v1/{name=projects/*}:archive", "/v1/projects/:archive"),
        ("/v1/{name=projects/*}:archive", "/v1/projects/a:b:archive"),
        ("/v1/{name=projects/*}", "/v1/%70rojects/a%zz"),
        ("/v1/{name=projects/*}", "/v1/%70rojects/a"),
        ("/v1/{name}", "/v1/%"),
        ("/v1/{name}", "/v1/%f"),
        ("/v1/{name}", "/v1/%+f"),
        ("/v1/{name}", "/v1/%ff"),
        ("/v1/{name}", "v1/a"),
        ("/files/{path=**}", "/files"),
        ("/files/{path=**}", "/files/"),
        ("/files/{path=**}", "/files/a//b"),
        ("/files/{path=**}", "/files/a/../b"),
        ("/files/{path=**}", "/files/a/..%2Fb"),
        ("/files/{path=**}", "/files/a%2F%2Fb"),
    ] {
        assert_eq!(bound(text, path), None, "{text} on {path}");
    }
}

#[test]
fn a_template_prints_as_it_was_written() {
    for text in ["/api/v1/{name=projects/*}:archive", "/a/{b}/c", "/files/{path=**}"] {
        assert_eq!(template(text).to_string(), text);
    }
    let template = template("/api/v1/{parent=projects/*}/runs/{id}:stop");
    assert_eq!(template.verb(), Some("stop"));
    let variables: Vec<_> = template.variables().iter().map(|v| (v.field_path.as_str(), v.segments.clone())).collect();
    assert_eq!(variables, [("parent", 2..4), ("id", 5..6)]);
}

#[test]
fn what_is_not_a_template_is_refused() {
    for (text, fault) in [
        ("", TemplateFault::NoSlash),
        ("v1", TemplateFault::NoSlash),
        ("/", TemplateFault::EmptySegment),
        ("/v1//a", TemplateFault::EmptySegment),
        ("/v1/", TemplateFault::EmptySegment),
        ("/v1/a:", TemplateFault::EmptySegment),
        ("/v1/..", TemplateFault::Literal("..".into())),
        ("/v1/a b", TemplateFault::Literal("a b".into())),
        ("/v1/%41", TemplateFault::Literal("%41".into())),
        ("/v1/{a}b", TemplateFault::Literal("b".into())),
        ("/v1/{a}:b/c", TemplateFault::Literal("b/c".into())),
        ("/v1/**/a", TemplateFault::RestNotLast),
        ("/v1/{a=**}/{b}", TemplateFault::RestNotLast),
        ("/v1/{a", TemplateFault::Unclosed),
        ("/v1/{}", TemplateFault::FieldPath(String::new())),
        ("/v1/{A}", TemplateFault::FieldPath("A".into())),
        ("/v1/{a..b}", TemplateFault::FieldPath("a..b".into())),
        ("/v1/{a}/{a}", TemplateFault::Twice("a".into())),
    ] {
        assert_eq!(Template::parse(text), Err(fault), "{text}");
    }
}

#[test]
fn templates_overlap_when_one_path_matches_both() {
    for (one, another, expected) in [
        ("/v1/a", "/v1/a", true),
        ("/v1/a", "/v1/b", false),
        ("/v1/{x}", "/v1/b", true),
        ("/v1/{x}", "/v1/{y}", true),
        ("/v1/{x}", "/v1/{y}/z", false),
        ("/v1/{x=a/*}", "/v1/{y=b/*}", false),
        ("/v1/{x=a/*}", "/v1/{y=a/*}:go", false),
        ("/v1/{x=a/*}:go", "/v1/{y=a/*}:go", true),
        ("/v1/{x=a/*}:go", "/v1/{y=a/*}:stop", false),
        ("/v1/{x=**}", "/v1/a/b", true),
        ("/v1/{x=**}", "/v1", false),
        ("/v1/{x=**}", "/v1/a:go", true),
        ("/v1/{x=**}:go", "/v1/a", false),
        ("/v1/{x=**}:go", "/v1/{y=**}:go", true),
        ("/v1/a/{x=**}", "/v1/b/{y=**}", false),
        ("/v1/a/{x=**}", "/v1/a", false),
    ] {
        assert_eq!(template(one).overlaps(&template(another)), expected, "{one} and {another}");
        assert_eq!(template(another).overlaps(&template(one)), expected, "{another} and {one}");
    }
}

/// Templates and paths over so few words that they often meet.
fn templates() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "*", "{x}", "{y=a/*}"]);
    let last = prop::sample::select(vec!["", "/**", "/{z=**}", "/{z=a/**}"]);
    let verb = prop::sample::select(vec!["", ":go", ":stop"]);
    (prop::collection::vec(segment, 1..3), last, verb).prop_map(|(segments, last, verb)| {
        let mut seen = false;
        let segments: Vec<&str> = segments
            .into_iter()
            .map(|segment| if segment.starts_with('{') && std::mem::replace(&mut seen, true) { "*" } else { segment })
            .collect();
        format!("/{}{last}{verb}", segments.join("/"))
    })
}

proptest! {
    #[test]
    fn two_templates_that_match_one_path_are_said_to_overlap(
        one in templates(),
        another in templates(),
        segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "a:go", "b:stop", "%3A"]), 1..5),
    ) {
        let (one, another) = (template(&one), template(&another));
        let path = format!("/{}", segments.join("/"));
        if one.matches(&path).is_some() && another.matches(&path).is_some() {
            prop_assert!(one.overlaps(&another), "{} and {} both match {}", one, another, path);
        }
    }

    #[test]
    fn no_path_makes_the_matcher_panic_or_bind_a_dot_segment(one in templates(), path in "[/a:%2eEfF.]{0,12}") {
        for (_, value) in template(&one).matches(&path).unwrap_or_default() {
            prop_assert!(value.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path} gave {value}");
        }
    }
}
