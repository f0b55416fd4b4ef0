use std::fmt::Write;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};

use super::plan::{Field, Kind, Message, MessageId, Plans, Shape};
use super::scalar::{Scalar, Slot};
use super::visit::{FieldSeed, List, Map, Name, Object, Problem, Value};
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
    pub(super) path: Vec<Step<'p>>,
}

pub(super) enum Step<'p> {
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
    pub(super) fn value_of<'de, D: Deserializer<'de>>(&mut self, field: &'p Field, json: D) -> Result<(), D::Error> {
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
    pub(super) fn fields<'de, A: MapAccess<'de>>(&mut self, message: &'p Message, mut json: A) -> Result<(), A::Error> {
        let (mut seen, mut likely) = (0_u128, 0);
        while let Some(at) = json.next_key_seed(Name { reader: self, message, likely })? {
            let Some(at) = at else {
                json.next_value::<IgnoredAny>()?;
                continue;
            };
            likely = at + 1;
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
    pub(super) fn elements<'de, A: SeqAccess<'de>>(&mut self, field: &'p Field, mut json: A) -> Result<(), A::Error> {
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
    pub(super) fn entries<'de, A: MapAccess<'de>>(&mut self, field: &'p Field, mut json: A) -> Result<(), A::Error> {
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
