//! Visitors: each writes what it is shown into the message being read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::plan::{Field, Form, Kind, Message};
use super::read::{Accent, Reader, Step};
use super::scalar::{Scalar, Slot};

/// An error of ours on its way through code that carries the deserializer's.
pub(super) enum Problem<E> {
    Ours(String),
    Theirs(E),
}

impl<E> From<String> for Problem<E> {
    fn from(problem: String) -> Self {
        Self::Ours(problem)
    }
}

impl<E: Error> Problem<E> {
    pub(super) fn into_error(self) -> E {
        match self {
            Self::Ours(problem) => E::custom(problem),
            Self::Theirs(fault) => fault,
        }
    }
}

/// An object whose fields go straight into the message being written.
pub(super) struct Object<'r, 'p> {
    pub(super) reader: &'r mut Reader<'p>,
    pub(super) message: &'p Message,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        self.reader.fields(self.message, json)
    }
}

/// The name of an object's field; none for one to pass over.
pub(super) struct Name<'r, 'p> {
    pub(super) reader: &'r mut Reader<'p>,
    pub(super) message: &'p Message,
    /// Where the name may well be: most writers keep to the order of the contract.
    pub(super) likely: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<usize>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        let is_likely = self.message.fields.get(self.likely).is_some_and(|field| field.name == name);
        let found = if is_likely { Some(self.likely) } else { self.message.find(name) };
        if found.is_none() && self.reader.accent == Accent::Strict {
            self.reader.path.push(Step::Key(name.chars().take(64).collect()));
            return Err(E::custom(format_args!("is not a field of {}", self.message.name)));
        }
        Ok(found)
    }
}

pub(super) struct FieldSeed<'r, 'p> {
    pub(super) reader: &'r mut Reader<'p>,
    pub(super) field: &'p Field,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.reader.value_of(self.field, json)
    }
}

pub(super) struct List<'r, 'p> {
    pub(super) reader: &'r mut Reader<'p>,
    pub(super) field: &'p Field,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        self.reader.elements(self.field, json)
    }
}

pub(super) struct Map<'r, 'p> {
    pub(super) reader: &'r mut Reader<'p>,
    pub(super) field: &'p Field,
}

impl<'de> DeserializeSeed<'de> for Map<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Map<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        self.reader.entries(self.field, json)
    }
}

/// One value for one place.
pub(super) struct Value<'r, 'p> {
    pub(super) reader: &'r mut Reader<'p>,
    pub(super) slot: Slot,
    pub(super) may_be_null: bool,
}

impl<'p> Value<'_, 'p> {
    fn message(&self) -> Option<&'p Message> {
        match self.slot.kind {
            Kind::Message(id) => Some(self.reader.plans.message(id)),
            _ => None,
        }
    }

    fn scalar<E: Error>(self, value: Scalar<'_>) -> Result<(), E> {
        self.reader.scalar(self.slot, value).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, 'p> Visitor<'de> for Value<'_, 'p> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.slot.kind {
            Kind::Message(_) => "an object",
            Kind::String => "a string",
            Kind::Bool => "true or false",
            Kind::Bytes => "bytes as base64",
            Kind::Enum(_) => "a value's name",
            _ => "a number",
        })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Scalar::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(Scalar::Uint(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(Scalar::Text(value))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.message() {
            Some(message) if message.form == Form::Value => {
                let null = message.field("null_value").ok_or_else(|| E::custom("is not a known value"))?;
                let written =
                    self.reader.nested(self.slot.number, |reader| reader.scalar(Slot::of(null), Scalar::Int(0)));
                written.map_err(E::custom)
            }
            _ if self.may_be_null => Ok(()),
            _ => Err(E::custom("must not be null")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        let number = self.slot.number;
        match self.message().map(|message| (message.form, message)) {
            Some((Form::ListValue, list)) => {
                let elements =
                    |reader: &mut Reader<'p>| reader.elements(&list.fields[0], json).map_err(Problem::Theirs);
                self.reader.nested(number, elements).map_err(Problem::into_error)
            }
            Some((Form::Value, value)) => {
                let list = value.field("list_value").ok_or_else(|| A::Error::custom("is not a known value"))?;
                let inside = |reader: &mut Reader<'p>| {
                    Value { reader, slot: Slot::of(list), may_be_null: false }.visit_seq(json).map_err(Problem::Theirs)
                };
                self.reader.nested(number, inside).map_err(Problem::into_error)
            }
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        let number = self.slot.number;
        match self.message().map(|message| (message.form, message)) {
            Some((Form::Object, message)) => {
                let fields = |reader: &mut Reader<'p>| reader.fields(message, json).map_err(Problem::Theirs);
                self.reader.nested(number, fields).map_err(Problem::into_error)
            }
            Some((Form::Struct, message)) => {
                let entries =
                    |reader: &mut Reader<'p>| reader.entries(&message.fields[0], json).map_err(Problem::Theirs);
                self.reader.nested(number, entries).map_err(Problem::into_error)
            }
            Some((Form::Value, value)) => {
                let object = value.field("struct_value").ok_or_else(|| A::Error::custom("is not a known value"))?;
                let inside = |reader: &mut Reader<'p>| {
                    Value { reader, slot: Slot::of(object), may_be_null: false }
                        .visit_map(json)
                        .map_err(Problem::Theirs)
                };
                self.reader.nested(number, inside).map_err(Problem::into_error)
            }
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }
}
