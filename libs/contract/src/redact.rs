use std::collections::HashSet;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// What stands where a sensitive text was.
const HIDDEN: &str = "[hidden]";

/// Hides what the contract calls sensitive (`debug_redact`), at any depth. Texts say that they were hidden; anything
/// else is left out.
pub fn redact(message: &mut DynamicMessage) {
    let set: Vec<FieldDescriptor> = message.fields().map(|(field, _)| field).collect();
    for field in set {
        if is_sensitive(&field) {
            match field.kind() {
                Kind::String if !field.is_list() && !field.is_map() => {
                    message.set_field(&field, Value::String(HIDDEN.to_owned()));
                }
                _ => message.clear_field(&field),
            }
        } else {
            redact_value(message.get_field_mut(&field));
        }
    }
}

fn redact_value(value: &mut Value) {
    match value {
        Value::Message(message) => redact(message),
        Value::List(values) => values.iter_mut().for_each(redact_value),
        Value::Map(values) => values.values_mut().for_each(redact_value),
        _ => {}
    }
}

/// Whether a message has a field, at any depth, that is sensitive.
pub fn holds_sensitive(message: &MessageDescriptor) -> bool {
    let mut seen = HashSet::new();
    let mut ahead = vec![message.clone()];
    while let Some(message) = ahead.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            if is_sensitive(&field) {
                return true;
            }
            if let Kind::Message(inner) = field.kind() {
                ahead.push(inner);
            }
        }
    }
    false
}

/// Whether a field says `[debug_redact = true]`.
pub fn is_sensitive(field: &FieldDescriptor) -> bool {
    if field.field_descriptor_proto().options.is_none() {
        return false; // Nearly every field: not worth decoding nothing.
    }
    let options = field.options();
    let value = options.get_field_by_name("debug_redact");
    value.is_some_and(|value| value.as_bool() == Some(true))
}
