use super::plan::{Field, Form, Kind, Message};
use super::read::{Accent, Reader};
use super::text;
use super::wire::{self, put_key, put_varint};

/// A value without parts, as it was found.
#[derive(Clone, Copy, Debug)]
pub enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// A JSON string.
    Text(&'a str),
    /// From a path, a query or a map's key, where everything is text.
    Word(&'a str),
}

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The field's number; none inside a packed list.
    pub number: Option<u32>,
    pub kind: Kind,
    /// Whether the default need not be written.
    pub is_implicit: bool,
}

impl Slot {
    /// The place of a field's one value.
    pub fn of(field: &Field) -> Self {
        Self { number: Some(field.number), kind: field.kind, is_implicit: !field.has_presence }
    }

    /// The place of an element of a list, or of a map entry's half.
    pub fn element(field: &Field) -> Self {
        Self { is_implicit: false, ..Self::of(field) }
    }
}

impl<'p> Reader<'p> {
    /// Writes a value into its place, or says what should have been there.
    pub fn scalar(&mut self, slot: Slot, value: Scalar<'_>) -> Result<(), String> {
        if let Kind::Message(id) = slot.kind {
            return self.special(slot, self.plans.message(id), value);
        }
        let start = self.out.len();
        if let Some(number) = slot.number {
            put_key(&mut self.out, number, slot.kind.wire_type());
        }
        let value_start = self.out.len();
        match slot.kind {
            Kind::Double => self.out.extend_from_slice(&self.float(value)?.to_le_bytes()),
            Kind::Float => {
                let wide = self.float(value)?;
                let narrow = wide as f32;
                if wide.is_finite() && !narrow.is_finite() {
                    return Err("is too large for a 32-bit float".into());
                }
                self.out.extend_from_slice(&narrow.to_le_bytes());
            }
            Kind::Int32 => put_varint(&mut self.out, integer::<i32>(value)? as u64),
            Kind::Int64 => put_varint(&mut self.out, integer::<i64>(value)? as u64),
            Kind::Uint32 => put_varint(&mut self.out, u64::from(integer::<u32>(value)?)),
            Kind::Uint64 => put_varint(&mut self.out, integer::<u64>(value)?),
            Kind::Sint32 => {
                let value = integer::<i32>(value)?;
                put_varint(&mut self.out, u64::from(((value << 1) ^ (value >> 31)) as u32));
            }
            Kind::Sint64 => {
                let value = integer::<i64>(value)?;
                put_varint(&mut self.out, ((value << 1) ^ (value >> 63)) as u64);
            }
            Kind::Fixed32 => self.out.extend_from_slice(&integer::<u32>(value)?.to_le_bytes()),
            Kind::Fixed64 => self.out.extend_from_slice(&integer::<u64>(value)?.to_le_bytes()),
            Kind::Sfixed32 => self.out.extend_from_slice(&integer::<i32>(value)?.to_le_bytes()),
            Kind::Sfixed64 => self.out.extend_from_slice(&integer::<i64>(value)?.to_le_bytes()),
            Kind::Bool => self.out.push(u8::from(boolean(value)?)),
            Kind::String => match value {
                Scalar::Text(text) | Scalar::Word(text) => self.bytes(text.as_bytes()),
                _ => return Err("expected a string".into()),
            },
            Kind::Bytes => match value {
                Scalar::Text(text) | Scalar::Word(text) => {
                    let bytes = text::bytes(text).ok_or("expected bytes as base64")?;
                    self.bytes(&bytes);
                }
                _ => return Err("expected bytes as base64".into()),
            },
            Kind::Enum(at) => match self.enumeration(at, value)? {
                Some(number) => put_varint(&mut self.out, number as u64),
                None => self.out.truncate(start),
            },
            Kind::Message(_) => unreachable!("handled above"),
        }
        // A default of any kind is all zeros on the wire, and nothing else is.
        if slot.is_implicit && self.out[value_start.min(self.out.len())..].iter().all(|byte| *byte == 0) {
            self.out.truncate(start);
        }
        Ok(())
    }

    /// Messages that look like a single value in JSON.
    fn special(&mut self, slot: Slot, message: &'p Message, value: Scalar<'_>) -> Result<(), String> {
        let text = match value {
            Scalar::Text(text) | Scalar::Word(text) => Some(text),
            _ => None,
        };
        self.nested(slot.number, |reader| match (message.form, text) {
            (Form::Timestamp, text) => text
                .and_then(|text| text::put_timestamp(&mut reader.out, text))
                .ok_or_else(|| "expected a time such as 2026-01-31T12:00:00Z".into()),
            (Form::Duration, text) => text
                .and_then(|text| text::put_duration(&mut reader.out, text))
                .ok_or_else(|| "expected a duration in seconds such as 1.5s".into()),
            (Form::FieldMask, Some(text)) => {
                text::put_field_mask(&mut reader.out, text);
                Ok(())
            }
            (Form::FieldMask, None) => Err("expected field names, separated by commas".into()),
            (Form::Wrapper, _) => reader.scalar(Slot::of(&message.fields[0]), value),
            (Form::Value, _) => {
                let name = match value {
                    Scalar::Bool(_) => "bool_value",
                    Scalar::Text(_) | Scalar::Word(_) => "string_value",
                    _ => "number_value",
                };
                reader.scalar(Slot::of(message.field(name).ok_or("is not a known value")?), value)
            }
            (Form::ListValue, _) => Err("expected a list".into()),
            (Form::Object | Form::Struct, _) => Err("expected an object".into()),
        })
    }

    fn bytes(&mut self, bytes: &[u8]) {
        put_varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn float(&self, value: Scalar<'_>) -> Result<f64, String> {
        let float = match value {
            Scalar::Float(float) => Some(float),
            Scalar::Int(int) => Some(int as f64),
            Scalar::Uint(uint) => Some(uint as f64),
            Scalar::Text("NaN") | Scalar::Word("NaN") => Some(f64::NAN),
            Scalar::Text("Infinity") | Scalar::Word("Infinity") => Some(f64::INFINITY),
            Scalar::Text("-Infinity") | Scalar::Word("-Infinity") => Some(f64::NEG_INFINITY),
            Scalar::Text(text) | Scalar::Word(text) => text.parse().ok().filter(|float: &f64| float.is_finite()),
            // MLflow's server counts true as 1.
            Scalar::Bool(is_true) => (self.accent == Accent::Lenient).then_some(f64::from(u8::from(is_true))),
        };
        float.ok_or_else(|| "expected a number".into())
    }

    /// An enum's number; none for a name to be ignored.
    fn enumeration(&self, at: usize, value: Scalar<'_>) -> Result<Option<i32>, String> {
        let values = self.plans.enumeration(at);
        let number = match value {
            Scalar::Text(name) | Scalar::Word(name) => values.number(name).or_else(|| name.parse().ok()),
            value => Some(integer::<i32>(value)?),
        };
        match number {
            Some(number) if values.name(number).is_some() => Ok(Some(number)),
            _ if self.accent == Accent::Lenient => Ok(None),
            _ => Err("is not one of the values it may have".into()),
        }
    }
}

/// A whole number in range, however it is spelled: `7`, `"7"`, `7.0`.
fn integer<T: TryFrom<i128>>(value: Scalar<'_>) -> Result<T, String> {
    let from_float = |float: f64| (float.fract() == 0.0 && float.abs() < 2e19).then_some(float as i128);
    let integer = match value {
        Scalar::Int(int) => Some(i128::from(int)),
        Scalar::Uint(uint) => Some(i128::from(uint)),
        Scalar::Float(float) => from_float(float),
        Scalar::Text(text) | Scalar::Word(text) => text.parse().ok().or_else(|| text.parse().ok().and_then(from_float)),
        Scalar::Bool(_) => None,
    };
    let integer = integer.ok_or("expected a whole number")?;
    T::try_from(integer).map_err(|_| format!("is out of range for {} bits", 8 * size_of::<T>()))
}

fn boolean(value: Scalar<'_>) -> Result<bool, String> {
    match value {
        Scalar::Bool(is_true) => Ok(is_true),
        Scalar::Word("true") => Ok(true),
        Scalar::Word("false") => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

impl Reader<'_> {
    /// Writes a message into its place.
    pub fn nested<T, E: From<String>>(
        &mut self,
        number: Option<u32>,
        inside: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.depth >= super::read::DEPTH_MAX {
            return Err(format!("is nested deeper than {} messages", super::read::DEPTH_MAX).into());
        }
        put_key(&mut self.out, number.unwrap_or_default(), wire::DELIMITED);
        let start = wire::open(&mut self.out);
        self.depth += 1;
        let done = inside(self)?;
        self.depth -= 1;
        wire::close(&mut self.out, start);
        Ok(done)
    }
}
