use super::plan::{Kind, Message};

pub const VARINT: u32 = 0;
pub const FIXED64: u32 = 1;
pub const DELIMITED: u32 = 2;
pub const FIXED32: u32 = 5;

/// The bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is damaged: {0}")]
pub struct Corrupt(pub &'static str);

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// Opens a value that carries its length, and leaves room for the length of a short one.
pub fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len()
}

/// Closes what [`open`] began. A value of 128 bytes or more is moved to make room for its length.
pub fn close(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    if len < 0x80 {
        out[start - 1] = len as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(10);
    put_varint(&mut prefix, len as u64);
    out.splice(start - 1..start, prefix);
}

/// Reads a message's bytes from front to back.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next field's number and wire type.
    pub fn key(&mut self) -> Result<(u32, u32), Corrupt> {
        let key = u32::try_from(self.varint()?).map_err(|_| Corrupt("a field's number is too large"))?;
        if key >> 3 == 0 { Err(Corrupt("a field has no number")) } else { Ok((key >> 3, key & 7)) }
    }

    pub fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Corrupt("it ends within a number"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt("a number is too long"))
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let rest = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
        let chunk = rest.copied().ok_or(Corrupt("it ends within a number"))?;
        self.at += N;
        Ok(chunk)
    }

    pub fn delimited(&mut self) -> Result<&'a [u8], Corrupt> {
        let len = usize::try_from(self.varint()?).map_err(|_| Corrupt("a value is too long"))?;
        let end = self.at.checked_add(len).ok_or(Corrupt("a value is too long"))?;
        let value = self.bytes.get(self.at..end).ok_or(Corrupt("it ends within a value"))?;
        self.at = end;
        Ok(value)
    }

    pub fn skip(&mut self, wire_type: u32) -> Result<(), Corrupt> {
        match wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.array::<8>().map(drop),
            DELIMITED => self.delimited().map(drop),
            FIXED32 => self.array::<4>().map(drop),
            _ => Err(Corrupt("a field has an unknown wire type")),
        }
    }
}

/// The last value of a string or bytes field at the top of a message, if it is there and not empty.
pub fn string_field<'a>(message: &Message, name: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let number = message.field(name)?.number;
    let mut cursor = Cursor::new(bytes);
    let mut found = None;
    while !cursor.is_done() {
        let (key, wire_type) = cursor.key().ok()?;
        if key == number && wire_type == DELIMITED {
            found = Some(cursor.delimited().ok()?);
        } else {
            cursor.skip(wire_type).ok()?;
        }
    }
    found.filter(|value| !value.is_empty())
}

/// The last value of a text or an unsigned number at the top of a message, as one word, if it is there.
pub fn word_field(message: &Message, name: &str, bytes: &[u8]) -> Option<String> {
    let field = message.field(name)?;
    if field.kind != Kind::Uint64 {
        return String::from_utf8(string_field(message, name, bytes)?.to_vec()).ok();
    }
    let mut cursor = Cursor::new(bytes);
    let mut found = None;
    while !cursor.is_done() {
        let (key, wire_type) = cursor.key().ok()?;
        if key == field.number && wire_type == VARINT {
            found = Some(cursor.varint().ok()?);
        } else {
            cursor.skip(wire_type).ok()?;
        }
    }
    found.map(|number| number.to_string())
}
