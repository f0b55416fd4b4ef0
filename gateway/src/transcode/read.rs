use std::fmt::{self, Write};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::plan::{Field, Form, Kind, Message, MessageId, Plans, Shape};
use super::scalar::{Scalar, Slot};
use super::wire;

/// How much is forgiven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accent {
    /// Unknown fields and values are refused.
    Strict,
    /// Unknown fields and enum values are passed over, `NaN` may stand bare, `true` counts as 1.
    Lenient,
}

/// Messages within messages. Decoders stop at a hundred.
pub const DEPTH_MAX: usize = 90;

/// Writes one message's wire form from JSON, path and query.
///
/// A field written twice takes the last value, or, being a message, is merged: what is written last has the last word.
pub struct Reader<'p> {
    pub(super) plans: &'p Plans,
    pub(super) accent: Accent,
    pub(super) out: Vec<u8>,
    pub(super) depth: usize,
    path: Vec<Step<'p>>,
}

enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(String),
}

/// What is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{problem}", field, if field.is_empty() { "" } else { ": " })]
pub struct Fault {
    /// The field, e.g. `metrics[3].value`. Empty: the whole.
    pub field: String,
    pub problem: String,
}

impl<'p> Reader<'p> {
    pub fn new(plans: &'p Plans, accent: Accent) -> Self {
        Self { plans, accent, out: Vec::new(), depth: 0, path: vec![] }
    }

    /// The wire form of all that was read.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Reads a body that is the whole message.
    pub fn message(&mut self, id: MessageId, json: &[u8]) -> Result<(), Fault> {
        let message = self.plans.message(id);
        self.document(json, |reader, json| Object { reader, message }.deserialize(json))
    }

    /// Reads a body that is one field of the message.
    pub fn field(&mut self, field: &'p Field, json: &[u8]) -> Result<(), Fault> {
        self.document(json, |reader, json| reader.value_of(field, json))
    }

    fn document(
        &mut self,
        json: &[u8],
        read: impl Fn(&mut Self, &mut serde_json::Deserializer<serde_json::de::SliceRead<'_>>) -> serde_json::Result<()>,
    ) -> Result<(), Fault> {
        self.out.reserve(json.len());
        let start = self.out.len();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let mut result = read(self, &mut deserializer).and_then(|()| deserializer.end());
        if self.accent == Accent::Lenient
            && result.as_ref().is_err_and(serde_json::Error::is_syntax)
            && let Some(quoted) = quote_bare_numbers(json)
        {
            self.out.truncate(start);
            self.path.clear();
            self.depth = 0;
            let mut deserializer = serde_json::Deserializer::from_slice(&quoted);
            result = read(self, &mut deserializer).and_then(|()| deserializer.end());
        }
        result.map_err(|fault| match fault.classify() {
            serde_json::error::Category::Data => self.fault(fault.to_string()),
            _ => Fault { field: String::new(), problem: format!("the body is not valid JSON: {fault}") },
        })
    }

    /// A problem at the place that is being read.
    pub(super) fn fault(&self, problem: impl Into<String>) -> Fault {
        let mut field = String::new();
        for step in &self.path {
            let dot = if field.is_empty() { "" } else { "." };
            let _ = match step {
                Step::Field(name) => write!(field, "{dot}{name}"),
                Step::Key(key) => write!(field, "{dot}{key}"),
                Step::Index(at) => write!(field, "[{at}]"),
            };
        }
        Fault { field, problem: problem.into() }
    }

    /// Reads a field's value, of whatever shape.
    fn value_of<'de, D: Deserializer<'de>>(&mut self, field: &'p Field, json: D) -> Result<(), D::Error> {
        self.path.push(Step::Field(&field.name));
        match field.shape {
            Shape::Single => Value { reader: self, slot: Slot::of(field), may_be_null: true }.deserialize(json)?,
            Shape::Repeated { .. } => List { reader: self, field }.deserialize(json)?,
            Shape::Map => Map { reader: self, field }.deserialize(json)?,
        }
        self.path.pop();
        Ok(())
    }

    /// Reads the fields of an object.
    fn fields<'de, A: MapAccess<'de>>(&mut self, message: &'p Message, mut json: A) -> Result<(), A::Error> {
        let mut seen = 0_u128;
        while let Some(at) = json.next_key_seed(Name { reader: self, message })? {
            let Some(at) = at else {
                json.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &message.fields[at];
            let rivals = field.oneof.map_or(0, |oneof| message.oneofs[oneof]) | 1 << at;
            if seen & rivals != 0 {
                self.path.push(Step::Field(&field.name));
                return Err(Error::custom("is given twice, or together with an alternative to it"));
            }
            let before = self.out.len();
            json.next_value_seed(FieldSeed { reader: self, field })?;
            if self.out.len() > before {
                seen |= 1 << at;
            }
        }
        Ok(())
    }

    /// Reads the elements of a list.
    fn elements<'de, A: SeqAccess<'de>>(&mut self, field: &'p Field, mut json: A) -> Result<(), A::Error> {
        let is_packed = field.shape == Shape::Repeated { is_packed: true };
        let mut slot = Slot::element(field);
        let mut packed = None;
        self.path.push(Step::Index(0));
        for at in 0.. {
            if let Some(step) = self.path.last_mut() {
                *step = Step::Index(at);
            }
            if is_packed && at == 0 {
                wire::put_key(&mut self.out, field.number, wire::DELIMITED);
                packed = Some(wire::open(&mut self.out));
                slot.number = None;
            }
            if json.next_element_seed(Value { reader: self, slot, may_be_null: false })?.is_none() {
                break;
            }
        }
        self.path.pop();
        if let Some(start) = packed {
            wire::close(&mut self.out, start);
        }
        Ok(())
    }

    /// Reads the entries of a map.
    fn entries<'de, A: MapAccess<'de>>(&mut self, field: &'p Field, mut json: A) -> Result<(), A::Error> {
        let Kind::Message(entry) = field.kind else { return Err(Error::custom("is not a map")) };
        let [key, value] = self.plans.message(entry).fields.as_slice() else {
            return Err(Error::custom("is not a map"));
        };
        while let Some(name) = json.next_key::<String>()? {
            self.path.push(Step::Key(name.clone()));
            self.nested(Some(field.number), |reader| {
                reader.scalar(Slot::element(key), Scalar::Word(&name)).map_err(Problem::Ours)?;
                let value = Value { reader, slot: Slot::element(value), may_be_null: false };
                json.next_value_seed(value).map_err(Problem::Theirs)
            })
            .map_err(Problem::into_error)?;
            self.path.pop();
        }
        Ok(())
    }
}

/// An error of ours on its way through code that carries the deserializer's.
enum Problem<E> {
    Ours(String),
    Theirs(E),
}

impl<E> From<String> for Problem<E> {
    fn from(problem: String) -> Self {
        Self::Ours(problem)
    }
}

impl<E: Error> Problem<E> {
    fn into_error(self) -> E {
        match self {
            Self::Ours(problem) => E::custom(problem),
            Self::Theirs(fault) => fault,
        }
    }
}

/// An object whose fields go straight into the message being written.
struct Object<'r, 'p> {
    reader: &'r mut Reader<'p>,
    message: &'p Message,
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
struct Name<'r, 'p> {
    reader: &'r mut Reader<'p>,
    message: &'p Message,
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
        let found = self.message.find(name);
        if found.is_none() && self.reader.accent == Accent::Strict {
            self.reader.path.push(Step::Key(name.chars().take(64).collect()));
            return Err(E::custom(format_args!("is not a field of {}", self.message.name)));
        }
        Ok(found)
    }
}

struct FieldSeed<'r, 'p> {
    reader: &'r mut Reader<'p>,
    field: &'p Field,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.reader.value_of(self.field, json)
    }
}

struct List<'r, 'p> {
    reader: &'r mut Reader<'p>,
    field: &'p Field,
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

struct Map<'r, 'p> {
    reader: &'r mut Reader<'p>,
    field: &'p Field,
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
struct Value<'r, 'p> {
    reader: &'r mut Reader<'p>,
    slot: Slot,
    may_be_null: bool,
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

/// Puts quotes around `NaN`, `Infinity` and `-Infinity` where JSON has no word for them. Nothing if there is none.
fn quote_bare_numbers(json: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::with_capacity(json.len() + 16);
    let mut rest = json;
    let mut has_changed = false;
    let mut is_string = false;
    while let Some((&first, after)) = rest.split_first() {
        let bare = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| rest.starts_with(word));
        match (is_string, first, bare) {
            (false, _, Some(word)) => {
                quoted.push(b'"');
                quoted.extend_from_slice(word);
                quoted.push(b'"');
                rest = &rest[word.len()..];
                has_changed = true;
                continue;
            }
            (true, b'\\', _) => {
                quoted.push(first);
                quoted.extend(after.first());
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            (_, b'"', _) => is_string = !is_string,
            _ => {}
        }
        quoted.push(first);
        rest = after;
    }
    has_changed.then_some(quoted)
}
