use std::sync::LazyLock;

use cairn_contract::{Contract, ResourceFault, Violations};
use proptest::prelude::*;
use prost_reflect::{DynamicMessage, Value};

use crate::inline::load;

/// One method with this resource over a message with nested fields.
fn try_contract(resource: &str, dialect: &str) -> Result<Contract, Violations> {
    load(&format!(
        "message Lion {{ string name = 1; int64 age = 2; Cub cub = 3; optional string parent = 4; string project = 5;
           repeated string names = 6; oneof food {{ string meat = 7; }} double weight = 8; float height = 9; bytes mane = 10; }}
         message Cub {{ string name = 2; Cub cub = 3; }}
         service ZooService {{ option (cairn.options.v1.dialect) = {dialect};
           // Gets it.
           rpc GetLion(Lion) returns (Lion) {{ option idempotency_level = NO_SIDE_EFFECTS;
             option (google.api.http) = {{ get: '/api/v1/lions' }};
             option (cairn.options.v1.access) = {{ permission: 'zoo.lions.get' resource: '{resource}' audit: AUDIT_NONE }}; }} }}"
    ))
}

fn contract(resource: &str, dialect: &str) -> Contract {
    try_contract(resource, dialect).unwrap()
}

fn cairn(resource: &str) -> Contract {
    contract(resource, "DIALECT_CAIRN")
}

fn message(contract: &Contract, json: &str) -> Vec<u8> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(contract.methods()[0].input(), &mut reader).unwrap();
    prost::Message::encode_to_vec(&message)
}

#[test]
fn a_resource_is_composed_of_request_fields() {
    for (resource, json, expected) in [
        ("{name}", r#"{"age": 3, "name": "lions/a", "weight": 2, "height": 1, "mane": "AA=="}"#, "lions/a"),
        ("lions/{name}", r#"{"name": "a"}"#, "lions/a"),
        ("{parent}/lions/{name}", r#"{"parent": "zoos/z", "name": "a"}"#, "zoos/z/lions/a"),
        ("{cub.cub.name}", r#"{"cub": {"name": "x", "cub": {"name": "lions/c"}}}"#, "lions/c"),
        ("projects/{project}", r#"{"project": "fraud"}"#, "projects/fraud"),
        ("*", "{}", "*"),
        ("{parent|*}", "{}", "*"),
        ("{parent|zoos/default}", r#"{"parent": ""}"#, "zoos/default"),
        ("{parent|zoos/default}", r#"{"parent": "zoos/z"}"#, "zoos/z"),
    ] {
        let contract = cairn(resource);
        let name = contract.methods()[0].resource_of(&message(&contract, json), None);
        assert_eq!(name.as_deref(), Ok(expected), "{resource}");
    }
}

#[test]
fn a_resource_with_a_gap_is_refused() {
    let contract = cairn("{parent}/lions/{name}");
    let method = &contract.methods()[0];
    for (json, field) in [(r#"{"name": "a"}"#, "parent"), (r#"{"name": "", "parent": "p"}"#, "name")] {
        let fault = ResourceFault::FieldMissing { field: field.into() };
        assert_eq!(method.resource_of(&message(&contract, json), Some("fraud")), Err(fault));
    }
}

#[test]
fn only_a_compatibility_dialect_has_an_ambient_project() {
    let mlflow = contract("{project}/lions", "DIALECT_MLFLOW");
    let request = message(&mlflow, r#"{"project": "not-this-one"}"#);
    assert_eq!(
        mlflow.methods()[0].resource_of(&request, Some("projects/fraud")).as_deref(),
        Ok("projects/fraud/lions")
    );
    assert_eq!(mlflow.methods()[0].resource_of(&request, None), Err(ResourceFault::NoProject));
    let cairn = cairn("projects/{project}");
    assert_eq!(cairn.methods()[0].resource_of(&request, Some("fraud")).as_deref(), Ok("projects/not-this-one"));
}

#[test]
fn what_is_no_message_is_refused() {
    let contract = cairn("{name}");
    for bytes in [
        &[0x0a][..],                     // A length is missing.
        &[0x0a, 5, b'a'],                // Its text is cut short.
        &[0x08, 1],                      // A number where the name should be.
        &[0x0a, 1, 0xff],                // Not UTF-8.
        &[0x0b],                         // A group.
        &[0x00, 1],                      // Field number 0.
        &[0x80; 11],                     // A number without an end.
        &[0xff, 0xff, 0xff, 0xff, 0x7f], // A field number out of range.
        &[0x11, 1, 2],                   // Eight bytes, cut short.
        &[0x15, 1, 2],                   // Four bytes, cut short.
    ] {
        let read = contract.methods()[0].resource_of(bytes, None);
        assert!(matches!(read, Err(ResourceFault::Malformed(_))), "{bytes:?} gave {read:?}");
    }
}

#[test]
fn fields_that_can_be_read_in_two_ways_cannot_name_a_resource() {
    for resource in ["{names}", "{meat}", "{age}", "{cub}", "{name.name}", "{cub.cub}"] {
        let refused = try_contract(resource, "DIALECT_CAIRN").expect_err(resource);
        assert!(refused.to_string().contains("which "), "{refused}");
    }
    let refused = try_contract("projects/{project}", "DIALECT_MLFLOW").expect_err("it loaded");
    assert!(refused.to_string().contains("a whole name"), "{refused}");
}

proptest! {
    /// The guard reads a few bytes and the service decodes them all: both must see the same name.
    #[test]
    fn a_field_reads_as_a_full_decoder_reads_it(
        parts in prop::collection::vec(
            prop_oneof![
                "[a-z]{0,4}".prop_map(|name| (1, Some(name))),
                "[a-z]{0,4}".prop_map(|name| (2, Some(name))),
                Just((2, None)),
                prop::collection::vec(any::<u8>(), 0..12).prop_map(|noise| (3, Some(String::from_utf8_lossy(&noise).into_owned()))),
            ],
            0..6,
        ),
        cut in 0usize..4,
    ) {
        static PLAIN: LazyLock<Contract> = LazyLock::new(|| cairn("{name}"));
        static NESTED: LazyLock<Contract> = LazyLock::new(|| cairn("{cub.name}"));
        let (plain, nested) = (&*PLAIN, &*NESTED);
        let lion = plain.methods()[0].input();
        let cub = lion.get_field_by_name("cub").unwrap();
        let mut bytes = vec![];
        for (field, text) in parts {
            let mut part = DynamicMessage::new(lion.clone());
            match (field, text) {
                (1, Some(name)) => part.set_field_by_name("name", Value::String(name)),
                (2, name) => {
                    let mut inner = DynamicMessage::new(cub.kind().as_message().unwrap().clone());
                    if let Some(name) = name {
                        inner.set_field_by_name("name", Value::String(name));
                    }
                    part.set_field(&cub, Value::Message(inner));
                }
                (_, noise) => part.set_field_by_name("mane", Value::Bytes(noise.unwrap_or_default().into_bytes().into())),
            }
            bytes.extend(prost::Message::encode_to_vec(&part));
        }
        bytes.truncate(bytes.len().saturating_sub(cut));

        let decoded = DynamicMessage::decode(lion, bytes.as_slice());
        let text = |message: &DynamicMessage, field: &str| message.get_field_by_name(field).unwrap().as_str().unwrap().to_owned();
        let expected = decoded.as_ref().map(|lion| {
            let cub = lion.get_field_by_name("cub").unwrap();
            (text(lion, "name"), text(cub.as_message().unwrap(), "name"))
        });
        let read = |contract: &Contract| match contract.methods()[0].resource_of(&bytes, None) {
            Ok(name) => Ok(name),
            Err(ResourceFault::FieldMissing { .. }) => Ok(String::new()),
            Err(fault) => Err(fault),
        };
        if let Ok((name, cub_name)) = expected {
            prop_assert_eq!(read(plain), Ok(name));
            prop_assert_eq!(read(nested), Ok(cub_name));
        }
    }
}
