use serde_json::{Value, json};

use super::fault::Fault;
use super::parse::filter;
use super::patch::patched;
use super::schema::{PERSON, TEAM, USER};
use super::select::Selection;
use super::shape::resource;

fn ada() -> Value {
    json!({
        "schemas": [USER],
        "id": "u-1",
        "externalId": "E-1",
        "userName": "Ada@Example.org",
        "name": { "familyName": "Lovelace", "givenName": "Ada" },
        "displayName": "Ada",
        "active": true,
        "emails": [
            { "value": "ada@example.org", "type": "work", "primary": true },
            { "value": "ada@home.example", "type": "home" },
        ],
        "meta": { "created": "2026-01-02T03:04:05Z" },
    })
}

fn takes(text: &str) -> bool {
    filter(&PERSON, text).unwrap_or_else(|fault| panic!("{text}: {fault}")).takes(&ada())
}

#[test]
fn a_filter_takes_what_the_standard_says() {
    for text in [
        r#"userName eq "ada@example.org""#,
        r#"USERNAME Eq "ADA@example.org""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ada""#,
        r#"name.familyName co "love""#,
        r#"name.familyName ew "LACE" and name.givenName ne "Grace""#,
        r#"emails eq "ada@home.example""#,
        r#"emails.type eq "home""#,
        r#"emails[type eq "work" and value co "@example.org"]"#,
        r#"not (userName eq "grace")"#,
        r#"userName eq "grace" or displayName pr and active eq true"#,
        r#"(userName eq "grace" or displayName pr) and not (title pr or active eq false)"#.replace("title", "name.middleName").as_str(),
        r#"meta.created gt "2026-01-01T00:00:00Z" and meta.created le "2026-01-02T04:04:05+01:00""#,
        r#"externalId eq "E-1""#,
        r#"name.middleName eq null"#,
        r#"userName ge "ada" and userName lt "b""#,
    ] {
        assert!(takes(text), "{text}");
    }
}

#[test]
fn a_filter_does_not_take_the_rest() {
    for text in [
        r#"userName eq "ada""#,
        r#"externalId eq "e-1""#,
        r#"emails[type eq "home" and value co "@example.org"]"#,
        r#"name.middleName pr"#,
        r#"active ne true"#,
        r#"userName eq "grace" and displayName pr or displayName eq null"#,
        r#"meta.created lt "2026-01-02T03:04:05Z""#,
    ] {
        assert!(!takes(text), "{text}");
    }
}

#[test]
fn what_is_no_filter_is_told_with_its_place() {
    let long = format!("userName eq \"{}\"", "a".repeat(5_000));
    let deep = format!("{}active eq true{}", "(".repeat(20), ")".repeat(20));
    let many = vec!["active eq true"; 100].join(" or ");
    for text in [
        "",
        "userName",
        "userName eq",
        "userName is \"a\"",
        "userName eq a",
        "userName eq \"a",
        "shoeSize eq 40",
        "name eq \"a\"",
        "active gt true",
        "active eq \"true\"",
        "meta.created gt \"yesterday\"",
        "emails[type eq \"work\"",
        "userName[value eq \"a\"]",
        "(active eq true",
        "active eq true)",
        "active eq true and",
        "not active eq true",
        "userName eq {}",
        &long,
        &deep,
        &many,
    ] {
        let outcome = filter(&PERSON, text);
        assert!(matches!(outcome, Err(Fault::Filter { .. })), "{text}: {outcome:?}");
    }
    assert_eq!(filter(&PERSON, "é").unwrap_err().to_string(), "the filter, at character 1: an attribute is expected");
}

#[test]
fn a_filter_says_which_one_it_can_take_at_most() {
    let needs = |text: &str, name: &str| filter(&PERSON, text).unwrap().needs(name).map(str::to_owned);
    assert_eq!(needs(r#"active eq true and userName eq "a""#, "userName"), Some("a".into()));
    assert_eq!(needs(r#"active eq true or userName eq "a""#, "userName"), None);
    assert_eq!(needs(r#"not (userName eq "a")"#, "userName"), None);
    assert_eq!(needs(r#"userName sw "a""#, "userName"), None);
}

fn patch(operations: Value) -> Result<Value, Fault> {
    let sent = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
    patched(&PERSON, &ada(), &sent)
}

fn one(op: &str, path: &str, value: Value) -> Result<Value, Fault> {
    patch(json!([{ "op": op, "path": path, "value": value }]))
}

#[test]
fn operations_change_what_their_path_leads_to() {
    let after = one("replace", "active", json!(false)).unwrap();
    assert_eq!(after["active"], json!(false));
    let after = one("Replace", "active", json!("False")).unwrap();
    assert_eq!(after["active"], json!(false), "as some directories write it");
    let after = one("add", "name.middleName", json!("King")).unwrap();
    assert_eq!(after["name"], json!({ "familyName": "Lovelace", "givenName": "Ada", "middleName": "King" }));
    let after = one("replace", "name", json!({ "givenName": "Augusta" })).unwrap();
    assert_eq!(after["name"], json!({ "familyName": "Lovelace", "givenName": "Augusta" }));
    let after = one("replace", r#"emails[type eq "home"].value"#, json!("a@b.example")).unwrap();
    assert_eq!(after["emails"][1], json!({ "value": "a@b.example", "type": "home" }));
    let after = one("remove", r#"emails[type eq "home"]"#, json!(null)).unwrap();
    assert_eq!(after["emails"].as_array().unwrap().len(), 1);
    let after = one("remove", "displayName", json!(null)).unwrap();
    assert_eq!(after.get("displayName"), None);
    let after = patch(
        json!([{ "op": "replace", "value": { "active": false, "name.givenName": "G", "title": "Dr", "id": "u-9" } }]),
    );
    let after = after.unwrap();
    assert_eq!(
        (&after["active"], &after["name"]["givenName"], &after["id"]),
        (&json!(false), &json!("G"), &json!("u-1"))
    );
    let after = one("add", r#"emails[type eq "other"].value"#, json!("o@b.example")).unwrap();
    assert_eq!(after["emails"][2], json!({ "type": "other", "value": "o@b.example" }));
    let after = one("replace", "title", json!("Countess")).unwrap();
    assert_eq!(after, ada(), "what is not kept is not refused");
}

#[test]
fn of_several_values_one_is_the_primary_one() {
    let new = json!([{ "value": "new@example.org", "primary": true }]);
    let after = one("add", "emails", new).unwrap();
    let primary: Vec<_> = after["emails"].as_array().unwrap().iter().map(|email| &email["primary"]).collect();
    assert_eq!(primary, [&json!(false), &json!(null), &json!(true)]);
    let after = one("replace", r#"emails[type eq "home"].primary"#, json!(true)).unwrap();
    assert_eq!((&after["emails"][0]["primary"], &after["emails"][1]["primary"]), (&json!(false), &json!(true)));
    let both = json!([{ "value": "a@b.c", "primary": true }, { "value": "d@b.c", "primary": true }]);
    assert!(matches!(one("replace", "emails", both), Err(Fault::Value { .. })));
}

#[test]
fn members_are_removed_by_filter_or_by_value() {
    let team = json!({ "displayName": "T", "members": [{ "value": "u-1" }, { "value": "u-2" }, { "value": "u-3" }] });
    let patch = |operation: Value| {
        let sent = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
        patched(&TEAM, &team, &sent).unwrap()["members"].clone()
    };
    let after = patch(json!({ "op": "remove", "path": r#"members[value eq "u-2"]"# }));
    assert_eq!(after, json!([{ "value": "u-1" }, { "value": "u-3" }]));
    let after = patch(json!({ "op": "Remove", "path": "members", "value": [{ "value": "u-1" }, { "value": "u-3" }] }));
    assert_eq!(after, json!([{ "value": "u-2" }]));
    assert_eq!(patch(json!({ "op": "remove", "path": "members" })), json!(null));
    let after = patch(json!({ "op": "add", "path": "members", "value": [{ "value": "u-4" }, { "value": "u-1" }] }));
    assert_eq!(after.as_array().unwrap().len(), 4, "who is in it is not in it twice");
}

#[test]
fn an_operation_that_cannot_be_done_says_which_way() {
    let kind = |outcome: Result<Value, Fault>| match outcome {
        Err(Fault::Syntax(_)) => "invalidSyntax",
        Err(Fault::Path { .. }) => "invalidPath",
        Err(Fault::NoTarget { .. }) => "noTarget",
        Err(Fault::Value { .. }) => "invalidValue",
        Err(Fault::Fixed { .. }) => "mutability",
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(one("move", "active", json!(true))), "invalidSyntax");
    assert_eq!(kind(patch(json!([]))), "invalidSyntax");
    assert_eq!(kind(one("add", "shoeSize", json!(40))), "invalidPath");
    assert_eq!(kind(one("add", "emails[type", json!("a"))), "invalidPath");
    assert_eq!(kind(one("replace", r#"emails[type eq "fax"].value"#, json!("a@b.c"))), "noTarget");
    assert_eq!(kind(patch(json!([{ "op": "remove" }]))), "noTarget");
    assert_eq!(kind(one("replace", "active", json!("maybe"))), "invalidValue");
    assert_eq!(kind(one("add", "userName", json!(7))), "invalidValue");
    assert_eq!(kind(patch(json!([{ "op": "add", "path": "displayName" }]))), "invalidValue");
    assert_eq!(kind(one("replace", "id", json!("u-2"))), "mutability");
    assert_eq!(kind(one("remove", "userName", json!(null))), "mutability");
    assert_eq!(kind(one("replace", "active", json!(null))), "mutability");
}

#[test]
fn a_resource_is_taken_in_the_shape_of_its_schema() {
    let sent = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:user", "urn:x:other"],
        "ID": "u-7",
        "username": "ada",
        "Emails": "ada@example.org",
        "active": "True",
        "title": "Countess",
        "password": "secret",
        "displayName": "",
        "meta": { "resourceType": "User" },
    });
    let kept = resource(&PERSON, &sent).unwrap();
    assert_eq!(kept, json!({ "userName": "ada", "emails": [{ "value": "ada@example.org" }], "active": true }));
    for sent in [
        json!([]),
        json!({ "userName": "a" }),
        json!({ "schemas": [USER] }),
        json!({ "schemas": [USER], "userName": " " }),
        json!({ "schemas": [USER], "userName": "a".repeat(600) }),
        json!({ "schemas": [USER], "userName": "a\nb" }),
        json!({ "schemas": [USER], "userName": "a", "USERNAME": "b" }),
        json!({ "schemas": [USER], "userName": "a", "name": "b" }),
        json!({ "schemas": [USER], "userName": "a", "emails": vec![json!({ "value": "a@b.c" }); 60] }),
    ] {
        assert!(resource(&PERSON, &sent).is_err(), "{sent}");
    }
}

#[test]
fn an_answer_shows_what_is_asked_for_and_always_its_id() {
    let names = |only: &str, not: &str| {
        let shown = Selection::read(only, not).of(&PERSON, ada());
        let mut names: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(names("userName", ""), "id schemas userName");
    assert_eq!(names("urn:ietf:params:scim:schemas:core:2.0:User:active", ""), "active id schemas");
    assert_eq!(names("", "emails,meta,externalId,id"), "active displayName id name schemas userName");
    let shown = Selection::read("name.givenName,emails.value", "").of(&PERSON, ada());
    assert_eq!(shown["name"], json!({ "givenName": "Ada" }));
    assert_eq!(shown["emails"], json!([{ "value": "ada@example.org" }, { "value": "ada@home.example" }]));
}
