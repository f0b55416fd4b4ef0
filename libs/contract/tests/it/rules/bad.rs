//! Each rule refuses: a table of bad contracts, and all that is said about each.

use crate::inline::{compile, load};

use super::violations;

/// A contract that keeps every rule.
const GOOD: &str = "
// A lion.
message Lion { string name = 1; string etag = 2; google.protobuf.Timestamp create_time = 3; Mood mood = 4;
  // Hairs. There are more than 32 bits can count, so 64.
  int64 hairs = 5; string chip_secret = 6 [debug_redact = true]; }
// How it feels.
enum Mood { MOOD_UNSPECIFIED = 0; MOOD_HUNGRY = 1; }
// Which one.
message GetLionRequest { string name = 1; }
// Which ones.
message ListLionsRequest { int32 page_size = 1; string page_token = 2; }
// Some of them.
message ListLionsResponse { repeated Lion lions = 1; string next_page_token = 2; }
// What is new.
message UpdateLionRequest { Lion lion = 1; google.protobuf.FieldMask update_mask = 2; string request_id = 3; }
// Which one goes.
message DeleteLionRequest { string name = 1; string request_id = 2; }
// What it eats.
message FeedLionRequest { string name = 1; string request_id = 2; }
// Its picture, in parts.
message PaintLionRequest { string name = 1; google.api.HttpBody picture = 2; }
// Keeps lions.
service ZooService {
  // One lion.
  rpc GetLion(GetLionRequest) returns (Lion) { option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: '/api/v1/{name=lions/*}' };
    option (cairn.options.v1.access) = { permission: 'zoo.lions.get' resource: '{name}' audit: AUDIT_NONE }; }
  // All lions.
  rpc ListLions(ListLionsRequest) returns (ListLionsResponse) { option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: '/api/v1/lions' };
    option (cairn.options.v1.access) = { permission: 'zoo.lions.list' resource: '*' audit: AUDIT_NONE filtered: true }; }
  // Changes a lion.
  rpc UpdateLion(UpdateLionRequest) returns (Lion) {
    option (google.api.http) = { patch: '/api/v1/{lion.name=lions/*}' body: 'lion' };
    option (cairn.options.v1.access) = { permission: 'zoo.lions.update' resource: '{lion.name}' audit: AUDIT_NONE };
    option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE }; }
  // Lets it go.
  rpc DeleteLion(DeleteLionRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = { delete: '/api/v1/{name=lions/*}' };
    option (cairn.options.v1.access) = { permission: 'zoo.lions.delete' resource: '{name}' audit: AUDIT_NONE };
    option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE }; }
  // Feeds it.
  rpc FeedLion(FeedLionRequest) returns (Lion) {
    option (google.api.http) = { post: '/api/v1/{name=lions/*}:feed' body: '*' };
    option (cairn.options.v1.access) = { permission: 'zoo.lions.feed' resource: '{name}' audit: AUDIT_NONE };
    option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE }; }
  // Paints it.
  rpc PaintLion(stream PaintLionRequest) returns (Lion) {
    option (google.api.http) = { put: '/api/v1/{name=lions/*}/picture' body: 'picture' };
    option (cairn.options.v1.access) = { permission: 'zoo.lions.paint' resource: '{name}' audit: AUDIT_NONE };
    option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE }; }
}";

/// What is said when `from` in the good contract becomes `to`, each without its place.
fn said(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from:?} is not in the good contract");
    let violations = violations(&load(&GOOD.replacen(from, to, 1)).unwrap());
    violations.iter().map(|violation| violation.splitn(3, ':').nth(2).unwrap_or(violation).trim().to_owned()).collect()
}

#[test]
fn a_good_contract_breaks_no_rule() {
    assert_eq!(said("// A lion.", "// A lion."), [""; 0]);
}

#[test]
fn a_violation_names_its_file_and_line() {
    let violations = violations(&load("\n\nmessage Lion {}").unwrap());
    assert_eq!(violations, ["cairn/zoo/v1/zoo.proto:6: cairn.zoo.v1.Lion: has no comment"]);
}

#[test]
fn every_rule_refuses_what_breaks_it() {
    for (from, to, expected) in CASES {
        let said = said(from, to);
        assert!(
            said.iter().any(|violation| violation == expected),
            "{from} -> {to}\n expected {expected:?}\n      got {said:#?}"
        );
    }
}

/// What is replaced in the good contract, by what, and what must be said.
const CASES: &[(&str, &str, &str)] = &[
    // Comments.
    ("// A lion.", "", "cairn.zoo.v1.Lion: has no comment"),
    ("// How it feels.", "", "cairn.zoo.v1.Mood: has no comment"),
    ("// Keeps lions.", "", "cairn.zoo.v1.ZooService: has no comment"),
    // Names.
    ("ZooService", "Zoo", "cairn.zoo.v1.Zoo: must be PascalCase and end in Service"),
    (
        "enum Mood {",
        "enum Mood_of { MOOD_OF_UNSPECIFIED = 0; }\n// How.\nenum Mood {",
        "cairn.zoo.v1.Mood_of: must be PascalCase",
    ),
    ("string etag = 2", "string eTag = 2", "cairn.zoo.v1.Lion.eTag: must be snake_case"),
    ("rpc FeedLion", "rpc feedLion", "cairn.zoo.v1.ZooService.feedLion: must be PascalCase"),
    // Fields.
    ("MOOD_UNSPECIFIED = 0", "MOOD_FINE = 0", "cairn.zoo.v1.MOOD_FINE: zero must be MOOD_UNSPECIFIED"),
    ("MOOD_HUNGRY", "HUNGRY", "cairn.zoo.v1.HUNGRY: must begin with MOOD_"),
    (
        "Mood mood = 4",
        "google.protobuf.Timestamp born = 4",
        "cairn.zoo.v1.Lion.born: is a Timestamp, so it must be named *_time",
    ),
    (
        "Mood mood = 4",
        "string fed_at = 4",
        "cairn.zoo.v1.Lion.fed_at: is a moment, so it must be a Timestamp named *_time",
    ),
    (
        "Mood mood = 4",
        "int32 sleep_seconds = 4",
        "cairn.zoo.v1.Lion.sleep_seconds: is a length of time, so it must be a Duration, without a unit in its name",
    ),
    (
        "// Hairs. There are more than 32 bits can count, so 64.",
        "// Hairs.",
        "cairn.zoo.v1.Lion.hairs: is a string in JSON; use 32 bits, or say in its comment why it needs 64",
    ),
    (
        " [debug_redact = true]",
        "",
        "cairn.zoo.v1.Lion.chip_secret: looks sensitive, so it must say [debug_redact = true]",
    ),
    // Lists.
    (
        "int32 page_size = 1",
        "string page_size = 1",
        "cairn.zoo.v1.ListLionsRequest: must have int32 page_size and string page_token",
    ),
    ("string next_page_token = 2;", "", "cairn.zoo.v1.ListLionsResponse: must have string next_page_token"),
    (
        "repeated Lion lions = 1",
        "repeated Lion lions = 3",
        "cairn.zoo.v1.ListLionsResponse: must have one repeated field, and it must be the first",
    ),
    (
        "resource: '{lion.name}' audit: AUDIT_NONE }",
        "resource: '{lion.name}' audit: AUDIT_NONE filtered: true }",
        "cairn.zoo.v1.ZooService.UpdateLion: is filtered, so it must say NO_SIDE_EFFECTS",
    ),
    // Requests.
    (
        "rpc FeedLion(FeedLionRequest)",
        "rpc FeedLion(DeleteLionRequest)",
        "cairn.zoo.v1.ZooService.FeedLion: takes cairn.zoo.v1.DeleteLionRequest, not cairn.zoo.v1.FeedLionRequest",
    ),
    (
        "rpc GetLion(GetLionRequest) returns (Lion)",
        "rpc GetLion(GetLionRequest) returns (ListLionsResponse)",
        "cairn.zoo.v1.ZooService.GetLion: returns ListLionsResponse, not Lion",
    ),
    (
        "returns (ListLionsResponse)",
        "returns (Lion)",
        "cairn.zoo.v1.ZooService.ListLions: returns Lion, not ListLionsResponse",
    ),
    ("string etag = 2;", "", "cairn.zoo.v1.Lion: is a resource, so it must have string etag"),
    (
        "google.protobuf.Timestamp create_time = 3;",
        "",
        "cairn.zoo.v1.Lion: is a resource, so it must have create_time, a Timestamp",
    ),
    (
        "google.protobuf.FieldMask update_mask = 2;",
        "",
        "cairn.zoo.v1.UpdateLionRequest: must have update_mask, a FieldMask",
    ),
    (
        "message FeedLionRequest { string name = 1; string request_id = 2; }",
        "message FeedLionRequest { string name = 1; }",
        "cairn.zoo.v1.FeedLionRequest: belongs to a change, so it must have string request_id",
    ),
    (
        "FeedLion(FeedLionRequest)",
        "FeedLion(stream FeedLionRequest)",
        "cairn.zoo.v1.ZooService.FeedLion: streams in, but its body is no google.api.HttpBody field",
    ),
    // Routes.
    (
        "get: '/api/v1/lions'",
        "get: '/api/v1/lions' additional_bindings { get: '/api/v1/lions/all' }",
        "cairn.zoo.v1.ZooService.ListLions: GET /api/v1/lions/all overlaps /api/v1/{name=lions/*} of GetLion",
    ),
    (
        "resource: '{lion.name}'",
        "resource: '{request_id}'",
        "cairn.zoo.v1.ZooService.UpdateLion: its resource \"{request_id}\" uses \"request_id\", which \
         /api/v1/{lion.name=lions/*} does not bind",
    ),
    (
        "{lion.name=lions/*}",
        "{lion.mane=lions/*}",
        "cairn.zoo.v1.ZooService.UpdateLion: binds \"lion.mane\", which is no single value of its request",
    ),
    (
        "body: 'lion'",
        "body: 'tiger'",
        "cairn.zoo.v1.ZooService.UpdateLion: its body \"tiger\" is no field of its request",
    ),
    (
        "body: 'lion'",
        "body: 'lion' response_body: 'tiger'",
        "cairn.zoo.v1.ZooService.UpdateLion: its response_body \"tiger\" is no field of its answer",
    ),
    (
        "option idempotency_level = NO_SIDE_EFFECTS;",
        "option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE };",
        "cairn.zoo.v1.ZooService.GetLion: is a GET, so it must say NO_SIDE_EFFECTS",
    ),
    (
        "option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE }; }\n  // Lets it go.",
        "option idempotency_level = NO_SIDE_EFFECTS; }\n  // Lets it go.",
        "cairn.zoo.v1.ZooService.UpdateLion: says NO_SIDE_EFFECTS, but is a PATCH",
    ),
    (
        "get: '/api/v1/lions'",
        "get: '/api/v1/lions' body: '*'",
        "cairn.zoo.v1.ZooService.ListLions: is a GET, so it has no body",
    ),
    ("get: '/api/v1/lions'", "get: '/lions'", "cairn.zoo.v1.ZooService.ListLions: /lions must begin with /api/v1/"),
    (
        "patch: '/api/v1/{lion.name=lions/*}'",
        "post: '/api/v1/{lion.name=lions/*}'",
        "cairn.zoo.v1.ZooService.UpdateLion: is named Update…, so it must be a PATCH without a custom verb",
    ),
    (
        "permission: 'zoo.lions.feed'",
        "permission: 'zoo.feed'",
        "cairn.zoo.v1.ZooService.FeedLion: \"zoo.feed\" must be service.collection.verb",
    ),
    (
        "permission: 'zoo.lions.feed'",
        "permission: 'farm.lions.feed'",
        "cairn.zoo.v1.ZooService.FeedLion: \"farm.lions.feed\" must begin with zoo.",
    ),
];

#[test]
fn a_package_stands_in_its_directory_and_has_a_version() {
    for (path, package, expected) in [
        ("cairn/zoo/v1/lions.proto", "cairn.farm.v1", "package cairn.farm.v1 does not stand in its own directory"),
        ("cairn/zoo/lions.proto", "cairn.zoo", "package cairn.zoo does not end in v<N>"),
        ("cairn/zoo/vone/lions.proto", "cairn.zoo.vone", "package cairn.zoo.vone does not end in v<N>"),
        ("cairn/zoo/v1/Lions.proto", "cairn.zoo.v1", "the file's name must be snake_case"),
    ] {
        let source = format!("syntax = 'proto3'; package {package}; import 'cairn/options/v1/options.proto';");
        let contract = cairn_contract::Contract::decode(&compile(&[(path, &source)])).unwrap();
        assert_eq!(violations(&contract), [format!("{path}:1: {expected}")]);
    }
}

#[test]
fn an_event_is_a_fact_with_a_place() {
    let stream = "option (cairn.options.v1.stream) = { category: 'zoo.lion' by: PROCESS_START };";
    let fed = format!("// A meal.\nmessage LionFed {{ {stream} }}");
    for (path, package, body, expected) in [
        ("cairn/zoo/events/v1/lion.proto", "cairn.zoo.events.v1", fed.clone(), None),
        (
            "cairn/zoo/v1/lion.proto",
            "cairn.zoo.v1",
            fed.clone(),
            Some("LionFed: has a stream, so it must stand in cairn.<service>.events.v<N>"),
        ),
        (
            "cairn/farm/events/v1/lion.proto",
            "cairn.farm.events.v1",
            fed.clone(),
            Some("LionFed: its category \"zoo.lion\" must be farm.<noun> without '-'"),
        ),
        (
            "cairn/zoo/events/v1/lion.proto",
            "cairn.zoo.events.v1",
            fed.replace("zoo.lion", "zoo.big-cat"),
            Some("LionFed: its category \"zoo.big-cat\" must be zoo.<noun> without '-'"),
        ),
        (
            "cairn/zoo/events/v1/lion.proto",
            "cairn.zoo.events.v1",
            fed.replace("LionFed", "LionUpdated"),
            Some("LionUpdated: Updated does not say what happened"),
        ),
        (
            "cairn/zoo/events/v1/lion.proto",
            "cairn.zoo.events.v1",
            fed.replace("LionFed", "LionEvent"),
            Some("LionEvent: Event does not say what happened"),
        ),
        (
            "cairn/zoo/events/v1/lion.proto",
            "cairn.zoo.events.v1",
            fed.replace("LionFed", "FeedLion"),
            Some("FeedLion: must be in the past tense, and Lion is not"),
        ),
        (
            "cairn/zoo/events/v1/lion.proto",
            "cairn.zoo.events.v1",
            "// A meal.\nmessage LionFed {}".into(),
            Some("LionFed: is neither an event (no stream) nor part of one"),
        ),
    ] {
        let source = format!("syntax = 'proto3'; package {package}; import 'cairn/options/v1/options.proto';\n{body}");
        let contract = cairn_contract::Contract::decode(&compile(&[(path, &source)])).unwrap();
        let expected: Vec<String> = expected.iter().map(|text| format!("{path}:3: {package}.{text}")).collect();
        assert_eq!(violations(&contract), expected);
    }
}

#[test]
fn a_reason_without_a_code_or_a_comment_is_refused() {
    let path = "cairn/errors/v1/reason.proto";
    let source = "syntax = 'proto3'; package cairn.errors.v1; import 'cairn/options/v1/options.proto';
// Why.
enum Reason {
  REASON_UNSPECIFIED = 0;
  REASON_NO_COMMENT = 1 [(cairn.options.v1.code) = INTERNAL];
  // Has no code.
  REASON_NO_CODE = 2;
}";
    let contract = cairn_contract::Contract::decode(&compile(&[(path, source)])).unwrap();
    assert_eq!(
        violations(&contract),
        [
            format!("{path}:5: cairn.errors.v1.REASON_NO_COMMENT: has no comment"),
            format!("{path}:7: cairn.errors.v1.REASON_NO_CODE: has no (cairn.options.v1.code)"),
        ]
    );
}

#[test]
fn a_compatibility_dialect_keeps_its_shapes_but_not_its_routes() {
    let dialect = "
// Lists, as somebody else published it.
message ListLions { int64 max_results = 1; string started_at = 2; enum Order { UP = 1; } Order order = 3; }
// Keeps lions.
service ZooService { option (cairn.options.v1.dialect) = DIALECT_MLFLOW;
  // All lions.
  rpc ListLions(ListLions) returns (ListLions) { option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: '/api/2.0/lions' additional_bindings { post: '/api/2.0/lions' body: '*' } };
    option (cairn.options.v1.access) = { permission: 'farm.lions.list' resource: '{project}' audit: AUDIT_NONE }; } }";
    let shaped = dialect.replace("enum Order { UP = 1; } Order order = 3;", "string order = 3;");
    assert_eq!(violations(&load(&shaped).unwrap()), [""; 0]);

    let writes = "option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE };";
    let unmarked = shaped.replace("option idempotency_level = NO_SIDE_EFFECTS;", writes);
    let said = violations(&load(&unmarked).unwrap()).join("\n");
    assert!(said.contains("ListLions: is a GET, so it must say NO_SIDE_EFFECTS"), "{said}");
}
