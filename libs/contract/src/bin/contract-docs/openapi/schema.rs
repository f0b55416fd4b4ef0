use std::collections::BTreeMap;

use cairn_contract::{Declared, is_sensitive};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::markdown::prose;

/// The component schemas that operations have asked for so far.
#[derive(Default)]
pub struct Schemas {
    known: BTreeMap<String, Value>,
}

/// How a service writes JSON.
#[derive(Clone, Copy)]
pub struct Style {
    /// 64-bit integers are strings, and unknown fields are refused.
    pub is_native: bool,
}

impl Schemas {
    /// Adds a schema that no message stands behind.
    pub fn add(&mut self, name: &str, schema: Value) {
        self.known.insert(name.to_owned(), schema);
    }

    pub fn finish(self) -> BTreeMap<String, Value> {
        self.known
    }

    /// The schema of a message: a reference to its component, or what JSON has for a well-known type.
    pub fn message(&mut self, message: &MessageDescriptor, style: Style) -> Value {
        if let Some(schema) = well_known(message.full_name()) {
            return schema;
        }
        let name = message.full_name();
        if !self.known.contains_key(name) {
            // Known before its fields are read: a message may contain itself.
            self.known.insert(name.to_owned(), Value::Null);
            let schema = self.object(message, &[], style);
            self.known.insert(name.to_owned(), schema);
        }
        reference(name)
    }

    /// The schema of a request body: the message without the fields that the path binds.
    pub fn body(&mut self, message: &MessageDescriptor, bound: &[&str], style: Style) -> Value {
        if message.fields().all(|field| !bound.contains(&field.name())) {
            return self.message(message, style);
        }
        self.object(message, bound, style)
    }

    /// The schema of one field, with its comment.
    pub fn field(&mut self, field: &FieldDescriptor, style: Style) -> Value {
        let mut schema = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = self.kind(&entry.map_entry_value_field(), style);
                json!({ "type": "object", "additionalProperties": value })
            }
            _ if field.is_list() => json!({ "type": "array", "items": self.kind(field, style) }),
            _ => self.kind(field, style),
        };
        let mut comment = prose(&field.comment());
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            let names: Vec<String> = oneof.fields().map(|field| format!("`{}`", field.name())).collect();
            comment = format!("{comment} At most one of {} is set.", names.join(", ")).trim_start().to_owned();
        }
        if let Value::Object(schema) = &mut schema {
            if !comment.is_empty() {
                schema.insert("description".into(), comment.into());
            }
            if is_sensitive(field) {
                schema.insert("format".into(), "password".into());
            }
            schema.insert("x-field".into(), field.number().into());
        }
        schema
    }

    fn object(&mut self, message: &MessageDescriptor, without: &[&str], style: Style) -> Value {
        let fields = message.fields().filter(|field| !without.contains(&field.name()));
        let properties: Map<String, Value> =
            fields.map(|field| (field.name().to_owned(), self.field(&field, style))).collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        if style.is_native {
            schema["additionalProperties"] = false.into();
        }
        let comment = prose(&message.comment());
        if !comment.is_empty() {
            schema["description"] = comment.into();
        }
        schema
    }

    /// The schema of a field's value, one of them if it has several.
    fn kind(&mut self, field: &FieldDescriptor, style: Style) -> Value {
        match field.kind() {
            Kind::Message(message) => self.message(&message, style),
            Kind::Enum(declared) => self.enumeration(&declared),
            Kind::Double | Kind::Float => float(),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX })
            }
            Kind::Uint32 | Kind::Fixed32 => {
                json!({ "type": "integer", "format": "uint32", "minimum": 0, "maximum": u32::MAX })
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 if style.is_native => {
                json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$" })
            }
            Kind::Uint64 | Kind::Fixed64 if style.is_native => {
                json!({ "type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$" })
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "integer", "format": "int64" }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "integer", "format": "uint64", "minimum": 0 }),
        }
    }

    fn enumeration(&mut self, declared: &EnumDescriptor) -> Value {
        let name = declared.full_name();
        if !self.known.contains_key(name) {
            let names: Vec<String> = declared.values().map(|value| value.name().to_owned()).collect();
            let mut description = vec![prose(&declared.comment())];
            for value in declared.values() {
                let comment = prose(&value.comment());
                if !comment.is_empty() {
                    description.push(format!("- `{}`: {comment}", value.name()));
                }
            }
            let schema = json!({ "type": "string", "enum": names, "description": description.join("\n") });
            self.known.insert(name.to_owned(), schema);
        }
        reference(name)
    }
}

/// JSON has no words for what is not a number, so these are strings.
fn float() -> Value {
    json!({ "oneOf": [
        { "type": "number", "format": "double" },
        { "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] },
    ] })
}

pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Types that JSON writes in a way of their own.
fn well_known(full_name: &str) -> Option<Value> {
    Some(match full_name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "Duration" => json!({ "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["1.5s"] }),
        "FieldMask" => json!({ "type": "string", "examples": ["description,displayName"] }),
        "Empty" => json!({ "type": "object", "additionalProperties": false }),
        "Struct" | "Any" => json!({ "type": "object" }),
        "ListValue" => json!({ "type": "array" }),
        "Value" => json!({}),
        "DoubleValue" | "FloatValue" => float(),
        "BoolValue" => json!({ "type": "boolean" }),
        "StringValue" => json!({ "type": "string" }),
        "BytesValue" => json!({ "type": "string", "contentEncoding": "base64" }),
        "Int32Value" | "UInt32Value" => json!({ "type": "integer" }),
        "Int64Value" | "UInt64Value" => json!({ "type": "string" }),
        _ => return None,
    })
}
