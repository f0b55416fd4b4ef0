use std::collections::BTreeSet;
use std::error::Error;
use std::fs;

use cairn_contract::{Contract, EventType};
use prost::Message;
use prost_reflect::{
    Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, SerializeOptions, Value,
};

use crate::{File, repository};

/// Where the shapes of events are kept for ever.
const FOLDER: &str = "libs/contract/fixtures/events/v1";

/// How deep a sample goes into messages that contain themselves.
const DEPTH_MAX: usize = 4;

/// How many samples an event may need so that each of its fields is in one. Beyond, its oneofs are too many.
const SAMPLES_MAX: usize = 16;

/// Samples for events whose fixtures, taken together, do not show every field. Nothing that exists is written again: an
/// event that gained a field gets one more fixture, and the old one goes on standing for what was stored before.
pub fn missing(contract: &Contract) -> Result<Vec<File>, Box<dyn Error>> {
    let mut files = vec![];
    for event in contract.events() {
        let wanted = paths(&event.descriptor);
        let mut number = 0;
        let mut shown = BTreeSet::new();
        loop {
            number += 1;
            let (binary, json) = names(event, number);
            match fs::read(repository().join(&binary)) {
                Ok(bytes) => {
                    set_paths(&DynamicMessage::decode(event.descriptor.clone(), bytes.as_slice())?, "", &mut shown)
                }
                Err(_) if wanted.is_subset(&shown) => break,
                Err(_) if number > SAMPLES_MAX => {
                    return Err(format!("{} needs too many samples", event.full_name).into());
                }
                Err(_) => {
                    let sample = sample(&event.descriptor, number - 1, DEPTH_MAX);
                    set_paths(&sample, "", &mut shown);
                    files.push((binary, sample.encode_to_vec()));
                    files.push((json, format!("{:#}\n", json_of(&sample)?).into_bytes()));
                }
            }
        }
    }
    Ok(files)
}

/// `<full name>.binpb` and `.json`; from the second on with a number: `<full name>.2.binpb`.
fn names(event: &EventType, number: usize) -> (String, String) {
    let number = if number == 1 { String::new() } else { format!(".{number}") };
    let stem = format!("{FOLDER}/{}{number}", event.full_name);
    (format!("{stem}.binpb"), format!("{stem}.json"))
}

/// A message as JSON, nothing hidden.
fn json_of(message: &DynamicMessage) -> Result<serde_json::Value, serde_json::Error> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut value = message.serialize_with_options(serde_json::value::Serializer, &options)?;
    value.sort_all_objects();
    Ok(value)
}

/// A message with every field set; of each oneof the field whose turn it is.
pub fn sample(message: &MessageDescriptor, turn: usize, depth: usize) -> DynamicMessage {
    let mut sample = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if let Some(oneof) = field.containing_oneof() {
            let mine = oneof.fields().position(|one| one == field);
            if mine != Some(turn % oneof.fields().len()) {
                continue;
            }
        }
        if depth == 0 && matches!(field.kind(), Kind::Message(_)) {
            continue;
        }
        let value = match field.cardinality() {
            Cardinality::Repeated if field.is_map() => map(&field, turn, depth),
            Cardinality::Repeated => Value::List(vec![one(&field, turn, depth), one(&field, turn + 1, depth)]),
            _ => one(&field, turn, depth),
        };
        sample.set_field(&field, value);
    }
    sample
}

fn map(field: &FieldDescriptor, turn: usize, depth: usize) -> Value {
    let Kind::Message(entry) = field.kind() else { return Value::Map(Default::default()) };
    let key = match one(&entry.map_entry_key_field(), turn, depth) {
        Value::String(text) => MapKey::String(text),
        Value::I32(number) => MapKey::I32(number),
        Value::I64(number) => MapKey::I64(number),
        Value::U32(number) => MapKey::U32(number),
        Value::U64(number) => MapKey::U64(number),
        _ => MapKey::Bool(true),
    };
    // One entry: the order of more is nobody's promise.
    Value::Map([(key, one(&entry.map_entry_value_field(), turn, depth))].into())
}

/// A value that says where it stands: names for texts, numbers for numbers.
fn one(field: &FieldDescriptor, turn: usize, depth: usize) -> Value {
    let number = field.number();
    match field.kind() {
        Kind::Double => Value::F64(f64::from(number) + 0.5),
        Kind::Float => Value::F32(number as f32 + 0.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(i64::from(number) << 32),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::from(number) << 32),
        Kind::Bool => Value::Bool(true),
        Kind::String => Value::String(format!("{}-{turn}", field.name())),
        Kind::Bytes => Value::Bytes(vec![number as u8; 3].into()),
        Kind::Enum(declared) => {
            let values: Vec<i32> =
                declared.values().map(|value| value.number()).filter(|number| *number != 0).collect();
            Value::EnumNumber(values.get(turn % values.len().max(1)).copied().unwrap_or_default())
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
            let mut time = DynamicMessage::new(message);
            time.set_field_by_name("seconds", Value::I64(1_767_225_600 + i64::from(number)));
            time.set_field_by_name("nanos", Value::I32(123_456_000));
            Value::Message(time)
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Struct" => {
            let json = serde_json::json!({
                "text": format!("{}-{turn}", field.name()), "number": f64::from(number) + 0.5, "bool": true, "null": null,
                "list": [1, "two", {"three": 3}], "object": {"inner": {}},
            });
            Value::Message(DynamicMessage::deserialize(message, json).expect("any JSON object is one"))
        }
        Kind::Message(message) => Value::Message(sample(&message, turn, depth - 1)),
    }
}

/// Every field of an event, dotted, parts included; a message within itself only once.
fn paths(message: &MessageDescriptor) -> BTreeSet<String> {
    fn collect(message: &MessageDescriptor, prefix: &str, above: &mut Vec<String>, paths: &mut BTreeSet<String>) {
        for field in message.fields() {
            let path = format!("{prefix}{}", field.name());
            if let Kind::Message(inner) = field.kind()
                && !above.iter().any(|name| name == inner.full_name())
                && !inner.full_name().starts_with("google.protobuf.")
            {
                above.push(inner.full_name().to_owned());
                collect(&inner, &format!("{path}."), above, paths);
                above.pop();
            }
            paths.insert(path);
        }
    }
    let mut paths = BTreeSet::new();
    collect(message, "", &mut vec![message.full_name().to_owned()], &mut paths);
    paths
}

/// The fields that a message sets, dotted.
fn set_paths(message: &DynamicMessage, prefix: &str, paths: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        let path = format!("{prefix}{}", field.name());
        let inside = format!("{path}.");
        match value {
            Value::Message(inner) => set_paths(inner, &inside, paths),
            Value::List(values) => {
                values.iter().filter_map(Value::as_message).for_each(|inner| set_paths(inner, &inside, paths));
            }
            Value::Map(entries) => {
                paths.extend([format!("{inside}key"), format!("{inside}value")]);
                let inside = format!("{inside}value.");
                entries.values().filter_map(Value::as_message).for_each(|inner| set_paths(inner, &inside, paths));
            }
            _ => {}
        }
        paths.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_event_is_in_a_fixture() {
        let missing = missing(Contract::embedded().unwrap()).unwrap();
        let names: Vec<_> = missing.iter().map(|(path, _)| path).collect();
        assert!(
            names.is_empty(),
            "{names:#?} are missing: `cargo run -p cairn-contract --bin contract-docs fixtures` adds them"
        );
    }

    #[test]
    fn every_fixture_ever_written_still_decodes_to_the_same() {
        let contract = Contract::embedded().unwrap();
        let mut count = 0;
        for entry in fs::read_dir(repository().join(FOLDER)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some(stem) = name.strip_suffix(".binpb") else {
                assert!(path.with_extension("binpb").exists(), "{name} has no .binpb beside it");
                continue;
            };
            let kind = stem.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('.');
            let kind = if contract.event(stem).is_some() { stem } else { kind };
            let event = contract.event(kind).unwrap_or_else(|| panic!("{name}: the event is gone"));
            let message =
                DynamicMessage::decode(event.descriptor.clone(), fs::read(&path).unwrap().as_slice()).unwrap();
            let expected = fs::read_to_string(path.with_extension("json")).unwrap();
            let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
            assert_eq!(json_of(&message).unwrap(), expected, "{name}");
            assert_eq!(message.unknown_fields().count(), 0, "{name} has fields that the contract no longer knows");
            count += 1;
        }
        assert!(count >= contract.events().len());
    }
}
