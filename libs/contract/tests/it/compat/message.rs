use cairn_contract::EventType;
use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::Found;

/// A message keeps its fields: number, name, type, cardinality, place in a oneof. A field may go when its number and name
/// are reserved, except from an event: what is stored must be readable for ever.
pub fn compare_message(old: &MessageDescriptor, pool: &DescriptorPool, found: &mut Found) {
    let Some(new) = pool.get_message_by_name(old.full_name()) else {
        found.removed(old, "the message is gone");
        return;
    };
    let is_reserved = |number, name: &str| {
        new.reserved_ranges().any(|range| range.contains(&number)) && new.reserved_names().any(|text| text == name)
    };
    for field in old.fields() {
        match new.get_field(field.number()) {
            Some(now) => compare_field(&field, &now, found),
            None if is_events(old.package_name()) => found.changed(
                &new,
                format!("an event's field is never removed, and {} = {} is gone", field.name(), field.number()),
            ),
            None if is_reserved(field.number(), field.name()) => {}
            None => found.changed(
                &new,
                format!("{} = {} is gone; reserve its number and its name", field.name(), field.number()),
            ),
        }
    }
    for range in old.reserved_ranges() {
        if !new.reserved_ranges().any(|now| now.start <= range.start && now.end >= range.end) {
            found.changed(&new, format!("the numbers {}..{} are no longer reserved", range.start, range.end));
        }
    }
    for name in old.reserved_names().filter(|name| !new.reserved_names().any(|now| now == *name)) {
        found.changed(&new, format!("the name {name:?} is no longer reserved"));
    }
    if let (Some(was), Some(is)) = (category(old), category(&new))
        && was != is
    {
        found.changed(&new, format!("its category was {was}, and is {is}: its streams would not be found"));
    }
}

fn compare_field(old: &FieldDescriptor, new: &FieldDescriptor, found: &mut Found) {
    if old.name() != new.name() {
        found.changed(new, format!("field {} was named {}", old.number(), old.name()));
    }
    let (was, is) = (type_name(old), type_name(new));
    if was != is {
        found.changed(new, format!("was {was}, and is {is}"));
    }
    if old.json_name() != new.json_name() {
        found.changed(new, format!("was {:?} in JSON, and is {:?}", old.json_name(), new.json_name()));
    }
    let (was, is) = (oneof(old), oneof(new));
    if was != is {
        found.changed(new, format!("was in {was}, and is in {is}"));
    }
}

/// An enum keeps its values. One may go when its number and name are reserved, except from an enum of events.
pub fn compare_enum(old: &EnumDescriptor, pool: &DescriptorPool, found: &mut Found) {
    let Some(new) = pool.get_enum_by_name(old.full_name()) else {
        found.removed(old, "the enum is gone");
        return;
    };
    for value in old.values() {
        let (number, name) = (value.number(), value.name());
        let is_reserved =
            new.reserved_ranges().any(|range| range.contains(&number)) && new.reserved_names().any(|text| text == name);
        match new.get_value(number) {
            Some(now) if now.name() == name => {}
            Some(now) => found.changed(&now, format!("value {number} was named {name}")),
            None if is_events(old.package_name()) => {
                found.changed(&new, format!("an event's value is never removed, and {name} = {number} is gone"));
            }
            None if is_reserved => {}
            None => found.changed(&new, format!("{name} = {number} is gone; reserve its number and its name")),
        }
    }
}

/// Cardinality and type, as one would write them.
fn type_name(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) if field.is_map() => {
            let (key, value) = (message.map_entry_key_field(), message.map_entry_value_field());
            return format!("map<{}, {}>", type_name(&key), type_name(&value));
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(declared) => declared.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    if field.is_list() { format!("repeated {kind}") } else { kind }
}

fn oneof(field: &FieldDescriptor) -> String {
    match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
        Some(oneof) => format!("oneof {}", oneof.name()),
        None => "no oneof".into(),
    }
}

fn is_events(package: &str) -> bool {
    package.split('.').nth(2) == Some("events")
}

/// The category of an event, read without loading a whole contract: a baseline may break today's rules.
fn category(message: &MessageDescriptor) -> Option<String> {
    EventType::read(message).map(|event| event.category)
}
