use std::io::Write;

use serde_json::ser::{CompactFormatter, Formatter};

use super::plan::Kind;
use super::text;
use super::wire::{Corrupt, Cursor};
use super::write::{Longs, Writer, utf8};

impl Writer<'_> {
    /// Writes the value that the cursor stands before.
    pub(super) fn scalar(&mut self, kind: Kind, cursor: &mut Cursor<'_>) -> Result<(), Corrupt> {
        match kind {
            Kind::Double => self.double(f64::from_le_bytes(cursor.array()?)),
            Kind::Float => {
                let value = f32::from_le_bytes(cursor.array()?);
                if value.is_finite() {
                    infallible(CompactFormatter.write_f32(&mut self.out, value));
                } else {
                    self.double(f64::from(value));
                }
            }
            Kind::Int32 => self.int(i64::from(cursor.varint()? as i32)),
            Kind::Uint32 => self.int(i64::from(cursor.varint()? as u32)),
            Kind::Sint32 => {
                let value = cursor.varint()? as u32;
                self.int(i64::from((value >> 1) as i32 ^ -((value & 1) as i32)));
            }
            Kind::Fixed32 => self.int(i64::from(u32::from_le_bytes(cursor.array()?))),
            Kind::Sfixed32 => self.int(i64::from(i32::from_le_bytes(cursor.array()?))),
            Kind::Int64 => {
                let value = cursor.varint()? as i64;
                self.long(|out| CompactFormatter.write_i64(out, value));
            }
            Kind::Sint64 => {
                let value = cursor.varint()?;
                let value = (value >> 1) as i64 ^ -((value & 1) as i64);
                self.long(|out| CompactFormatter.write_i64(out, value));
            }
            Kind::Sfixed64 => {
                let value = i64::from_le_bytes(cursor.array()?);
                self.long(|out| CompactFormatter.write_i64(out, value));
            }
            Kind::Uint64 => {
                let value = cursor.varint()?;
                self.long(|out| CompactFormatter.write_u64(out, value));
            }
            Kind::Fixed64 => {
                let value = u64::from_le_bytes(cursor.array()?);
                self.long(|out| CompactFormatter.write_u64(out, value));
            }
            Kind::Bool => {
                let word: &[u8] = if cursor.varint()? == 0 { b"false" } else { b"true" };
                self.out.extend_from_slice(word);
            }
            Kind::String => self.text(utf8(cursor.delimited()?)?),
            Kind::Bytes => self.text(&text::base64(cursor.delimited()?)),
            Kind::Enum(at) => {
                let number = cursor.varint()? as i32;
                match self.plans.enumeration(at).name(number) {
                    Some(name) => self.text(name),
                    None => self.int(i64::from(number)),
                }
            }
            Kind::Message(_) => return Err(Corrupt("a message stands where a value should")),
        }
        Ok(())
    }

    /// A number of a JSON value: a whole one as it was written, `5` and not `5.0`.
    pub(super) fn number(&mut self, value: f64) {
        const EXACT: f64 = 9_007_199_254_740_991.0;
        if value.fract() == 0.0 && value.abs() <= EXACT {
            self.int(value as i64);
        } else {
            self.double(value);
        }
    }

    fn double(&mut self, value: f64) {
        if value.is_finite() {
            infallible(CompactFormatter.write_f64(&mut self.out, value));
        } else {
            let word = if value.is_nan() { "NaN" } else { ["Infinity", "-Infinity"][usize::from(value < 0.0)] };
            self.text(word);
        }
    }

    fn int(&mut self, value: i64) {
        infallible(CompactFormatter.write_i64(&mut self.out, value));
    }

    fn long(&mut self, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) {
        let quote: &[u8] = if self.longs == Longs::Strings { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        infallible(write(&mut self.out));
        self.out.extend_from_slice(quote);
    }

    pub(super) fn text(&mut self, text: &str) {
        serde_json::to_writer(&mut self.out, text).expect("writing text into memory cannot fail");
    }

    pub(super) fn display(&mut self, value: impl std::fmt::Display) {
        infallible(write!(self.out, "\"{value}\""));
    }
}

fn infallible(written: std::io::Result<()>) {
    written.expect("writing into memory cannot fail");
}
