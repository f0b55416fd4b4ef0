//! Each kind of incompatible change is refused: a table of before and after.

use prost_reflect::DescriptorPool;

use crate::inline::compile;

use super::incompatibilities;

/// What is said about the change, for files at `path` of `package`.
fn said(path: &str, package: &str, before: &str, after: &str) -> Vec<String> {
    let pool = |body: &str| {
        let imports = "import 'cairn/options/v1/options.proto'; import 'google/api/annotations.proto';";
        let source = format!("syntax = 'proto3'; package {package}; {imports}\n{body}");
        DescriptorPool::decode(compile(&[(path, &source)]).as_slice()).unwrap()
    };
    incompatibilities(&pool(before), &pool(after))
}

fn public(before: &str, after: &str) -> Vec<String> {
    said("cairn/zoo/v1/zoo.proto", "cairn.zoo.v1", before, after)
}

fn event(before: &str, after: &str) -> Vec<String> {
    said("cairn/zoo/events/v1/zoo.proto", "cairn.zoo.events.v1", before, after)
}

#[test]
fn additions_are_welcome() {
    for (before, after) in [
        ("message Lion { string name = 1; }", "message Lion { string name = 1; string mane = 2; } message Cub {}"),
        ("enum Mood { MOOD = 0; }", "enum Mood { MOOD = 0; GOOD = 1; }"),
        ("message Lion { string name = 1; }", "// Now explained.\nmessage Lion { optional string name = 1; }"),
        (
            "message M {} service S { rpc A(M) returns (M); }",
            "message M {} service S { rpc A(M) returns (M); rpc B(M) returns (M); }",
        ),
        (
            "message M {} service S { rpc A(M) returns (M) { option (google.api.http) = { get: '/a' }; } }",
            "message M {} service S { rpc A(M) returns (M) {
               option (google.api.http) = { get: '/a' additional_bindings { get: '/b' } }; } }",
        ),
    ] {
        assert_eq!(public(before, after), [""; 0], "{before} -> {after}");
        assert_eq!(event(before, after), [""; 0], "{before} -> {after}");
    }
}

#[test]
fn what_was_public_goes_only_behind_a_reservation() {
    assert_eq!(public("message L { string a = 1; }", "message L { reserved 1; reserved 'a'; }"), [""; 0]);
    assert_eq!(public("enum M { Z = 0; A = 1; }", "enum M { Z = 0; reserved 1; reserved 'A'; }"), [""; 0]);
}

#[test]
fn every_incompatible_change_is_refused() {
    let method =
        "message M {} message N {} service S { rpc A(M) returns (M) { option (google.api.http) = { get: '/a' }; } }";
    for (before, after, expected) in [
        ("message L {}", "", "L: the message is gone"),
        ("message L { string a = 1; }", "message L {}", "L: a = 1 is gone; reserve its number and its name"),
        (
            "message L { string a = 1; }",
            "message L { reserved 1; }",
            "L: a = 1 is gone; reserve its number and its name",
        ),
        (
            "message L { string a = 1; }",
            "message L { reserved 'a'; }",
            "L: a = 1 is gone; reserve its number and its name",
        ),
        (
            "message L { string a = 1; }",
            "message L { string a = 2; }",
            "L: a = 1 is gone; reserve its number and its name",
        ),
        ("message L { string a = 1; }", "message L { string b = 1; }", "L.b: field 1 was named a"),
        ("message L { string a = 1; }", "message L { bytes a = 1; }", "L.a: was string, and is bytes"),
        ("message L { int32 a = 1; }", "message L { sint32 a = 1; }", "L.a: was int32, and is sint32"),
        (
            "message L { string a = 1; }",
            "message L { repeated string a = 1; }",
            "L.a: was string, and is repeated string",
        ),
        (
            "message L { map<string, int32> a = 1; }",
            "message L { map<string, int64> a = 1; }",
            "L.a: was map<string, int32>, and is map<string, int64>",
        ),
        (
            "message L { M a = 1; } message M {} message N {}",
            "message L { N a = 1; } message M {} message N {}",
            "L.a: was cairn.zoo.v1.M, and is cairn.zoo.v1.N",
        ),
        (
            "message L { string a = 1; }",
            "message L { string a = 1 [json_name = 'x']; }",
            "L.a: was \"a\" in JSON, and is \"x\"",
        ),
        (
            "message L { string a = 1; }",
            "message L { oneof o { string a = 1; } }",
            "L.a: was in no oneof, and is in oneof o",
        ),
        ("message L { reserved 1 to 3; }", "message L { reserved 1; }", "L: the numbers 1..4 are no longer reserved"),
        ("message L { reserved 'a'; }", "message L {}", "L: the name \"a\" is no longer reserved"),
        ("enum M { Z = 0; }", "", "M: the enum is gone"),
        ("enum M { Z = 0; A = 1; }", "enum M { Z = 0; }", "M: A = 1 is gone; reserve its number and its name"),
        ("enum M { Z = 0; A = 1; }", "enum M { Z = 0; B = 1; }", "B: value 1 was named A"),
        (method, "message M {} message N {}", "S: the service is gone"),
        (method, "message M {} message N {} service S {}", "S.A: the method is gone"),
        (method, &method.replace("A(M)", "A(N)"), "S.A: takes cairn.zoo.v1.N, and not cairn.zoo.v1.M as before"),
        (
            method,
            &method.replace("returns (M)", "returns (N)"),
            "S.A: returns cairn.zoo.v1.N, and not cairn.zoo.v1.M as before",
        ),
        (method, &method.replace("returns (M)", "returns (stream M)"), "S.A: streams in another way than before"),
        (method, &method.replace("'/a'", "'/b'"), "S.A: GET /a no longer leads here as it did"),
        (method, &method.replace("get: '/a'", "post: '/a'"), "S.A: GET /a no longer leads here as it did"),
    ] {
        let said = public(before, after);
        let ending = format!(" cairn.zoo.v1.{expected}");
        assert!(
            said.iter().any(|line| line.ends_with(&ending)),
            "{before} -> {after}\n expected {expected:?}, got {said:#?}"
        );
    }
}

#[test]
fn an_event_loses_nothing_not_even_behind_a_reservation() {
    let stream =
        |category: &str| format!("message L {{ option (cairn.options.v1.stream) = {{ category: '{category}' }}; }}");
    for (before, after, expected) in [
        (
            "message L { string a = 1; }".to_owned(),
            "message L { reserved 1; reserved 'a'; }".to_owned(),
            "L: an event's field is never removed, and a = 1 is gone",
        ),
        (
            "enum M { Z = 0; A = 1; }".into(),
            "enum M { Z = 0; reserved 1; reserved 'A'; }".into(),
            "M: an event's value is never removed, and A = 1 is gone",
        ),
        (
            stream("zoo.lion"),
            stream("zoo.cat"),
            "L: its category was zoo.lion, and is zoo.cat: its streams would not be found",
        ),
    ] {
        let said = event(&before, &after);
        assert_eq!(said, [format!("cairn/zoo/events/v1/zoo.proto:2: cairn.zoo.events.v1.{expected}")]);
    }
}
