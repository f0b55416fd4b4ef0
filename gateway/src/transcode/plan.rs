use std::collections::HashMap;

use prost_reflect::{Cardinality, FieldDescriptor, MessageDescriptor};

/// How to read and write every message that can pass, by number. Made once, when the gateway starts.
#[derive(Default)]
pub struct Plans {
    messages: Vec<Message>,
    by_name: HashMap<String, MessageId>,
    enums: Vec<Enum>,
    enums_by_name: HashMap<String, usize>,
}

/// A message's place among the plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId(usize);

/// A message, and the form it has in JSON.
#[derive(Debug)]
pub struct Message {
    pub name: String,
    pub form: Form,
    /// In the order of declaration.
    pub fields: Vec<Field>,
    /// For each oneof, the fields in it, as bits.
    pub oneofs: Vec<u128>,
    by_name: HashMap<String, usize>,
    by_number: Vec<(u32, usize)>,
}

/// What a message looks like in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An object with its fields.
    Object,
    /// Its only field, bare.
    Wrapper,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
}

#[derive(Debug)]
pub struct Field {
    /// As in the contract, which is also the name that is written.
    pub name: String,
    pub number: u32,
    pub kind: Kind,
    pub shape: Shape,
    /// Whether "set to its default" differs from "not set".
    pub has_presence: bool,
    pub oneof: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Single,
    Repeated { is_packed: bool },
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(MessageId),
}

#[derive(Debug, Default)]
pub struct Enum {
    by_name: HashMap<String, i32>,
    by_number: HashMap<i32, String>,
}

/// Which fields of a message have been seen is a word of bits.
const FIELDS_MAX: usize = u128::BITS as usize;

impl Plans {
    /// Plans a message and all it contains. What cannot be planned is added to `faults`.
    pub fn add(&mut self, descriptor: &MessageDescriptor, faults: &mut Vec<String>) -> MessageId {
        if let Some(&id) = self.by_name.get(descriptor.full_name()) {
            return id;
        }
        let id = MessageId(self.messages.len());
        self.by_name.insert(descriptor.full_name().to_owned(), id);
        // The place is taken first: a message may contain itself.
        self.messages.push(Message::new(descriptor));
        match descriptor.full_name() {
            "google.protobuf.Any" => faults.push("google.protobuf.Any has no JSON form here".into()),
            // Its third field, extensions, is unused here and of a type that has no JSON form.
            "google.api.HttpBody" => {}
            name if descriptor.fields().len() > FIELDS_MAX => {
                faults.push(format!("{name} has more than {FIELDS_MAX} fields"));
            }
            _ => {
                for field in descriptor.fields() {
                    let field = self.field(&field, faults);
                    self.messages[id.0].push(field);
                }
            }
        }
        id
    }

    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    pub fn enumeration(&self, at: usize) -> &Enum {
        &self.enums[at]
    }

    fn field(&mut self, field: &FieldDescriptor, faults: &mut Vec<String>) -> (Field, String) {
        let kind = match field.kind() {
            prost_reflect::Kind::Double => Kind::Double,
            prost_reflect::Kind::Float => Kind::Float,
            prost_reflect::Kind::Int32 => Kind::Int32,
            prost_reflect::Kind::Int64 => Kind::Int64,
            prost_reflect::Kind::Uint32 => Kind::Uint32,
            prost_reflect::Kind::Uint64 => Kind::Uint64,
            prost_reflect::Kind::Sint32 => Kind::Sint32,
            prost_reflect::Kind::Sint64 => Kind::Sint64,
            prost_reflect::Kind::Fixed32 => Kind::Fixed32,
            prost_reflect::Kind::Fixed64 => Kind::Fixed64,
            prost_reflect::Kind::Sfixed32 => Kind::Sfixed32,
            prost_reflect::Kind::Sfixed64 => Kind::Sfixed64,
            prost_reflect::Kind::Bool => Kind::Bool,
            prost_reflect::Kind::String => Kind::String,
            prost_reflect::Kind::Bytes => Kind::Bytes,
            prost_reflect::Kind::Enum(descriptor) => {
                let at = *self.enums_by_name.entry(descriptor.full_name().to_owned()).or_insert(self.enums.len());
                if at == self.enums.len() {
                    self.enums.push(Enum::default());
                    for value in descriptor.values() {
                        self.enums[at].by_name.insert(value.name().to_owned(), value.number());
                        self.enums[at].by_number.entry(value.number()).or_insert_with(|| value.name().to_owned());
                    }
                }
                Kind::Enum(at)
            }
            prost_reflect::Kind::Message(descriptor) => Kind::Message(self.add(&descriptor, faults)),
        };
        if field.is_group() {
            faults.push(format!("{} is a group", field.full_name()));
        }
        let shape = match field.cardinality() {
            _ if field.is_map() => Shape::Map,
            Cardinality::Repeated => Shape::Repeated { is_packed: field.is_packed() },
            Cardinality::Optional | Cardinality::Required => Shape::Single,
        };
        let parent = field.parent_message();
        let oneof = field.containing_oneof().and_then(|oneof| parent.oneofs().position(|other| other == oneof));
        let planned = Field {
            name: field.name().to_owned(),
            number: field.number(),
            kind,
            shape,
            // The halves of a map's entry are always written.
            has_presence: field.supports_presence() || parent.is_map_entry(),
            oneof,
        };
        (planned, field.json_name().to_owned())
    }
}

impl Message {
    fn new(descriptor: &MessageDescriptor) -> Self {
        let form = match descriptor.full_name() {
            "google.protobuf.Timestamp" => Form::Timestamp,
            "google.protobuf.Duration" => Form::Duration,
            "google.protobuf.FieldMask" => Form::FieldMask,
            "google.protobuf.Struct" => Form::Struct,
            "google.protobuf.Value" => Form::Value,
            "google.protobuf.ListValue" => Form::ListValue,
            "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.BoolValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue" => Form::Wrapper,
            _ => Form::Object,
        };
        Self {
            name: descriptor.full_name().to_owned(),
            form,
            fields: vec![],
            oneofs: vec![0; descriptor.oneofs().len()],
            by_name: HashMap::new(),
            by_number: vec![],
        }
    }

    fn push(&mut self, (field, json_name): (Field, String)) {
        let at = self.fields.len();
        if let Some(oneof) = field.oneof {
            self.oneofs[oneof] |= 1 << at;
        }
        self.by_name.insert(json_name, at);
        self.by_name.insert(field.name.clone(), at);
        let place = self.by_number.partition_point(|(number, _)| *number < field.number);
        self.by_number.insert(place, (field.number, at));
        self.fields.push(field);
    }

    /// The place of a field by its name in the contract, or by that name in lowerCamelCase.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.find(name).map(|at| &self.fields[at])
    }

    /// The place of a field by its number. Most messages number their fields 1, 2, 3…
    pub fn numbered(&self, number: u32) -> Option<usize> {
        match self.by_number.get((number as usize).wrapping_sub(1)) {
            Some(&(found, at)) if found == number => Some(at),
            _ => {
                let place = self.by_number.binary_search_by_key(&number, |(number, _)| *number).ok()?;
                Some(self.by_number[place].1)
            }
        }
    }
}

impl Kind {
    /// Whether values of this kind carry their length.
    pub fn is_delimited(self) -> bool {
        matches!(self, Self::String | Self::Bytes | Self::Message(_))
    }

    /// What stands beside the field's number on the wire.
    pub fn wire_type(self) -> u32 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => super::wire::FIXED64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => super::wire::FIXED32,
            Self::String | Self::Bytes | Self::Message(_) => super::wire::DELIMITED,
            _ => super::wire::VARINT,
        }
    }
}

impl Enum {
    pub fn number(&self, name: &str) -> Option<i32> {
        self.by_name.get(name).copied()
    }

    pub fn name(&self, number: i32) -> Option<&str> {
        self.by_number.get(&number).map(String::as_str)
    }
}
