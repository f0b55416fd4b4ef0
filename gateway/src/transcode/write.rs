use super::plan::{Field, Form, Kind, Message, MessageId, Plans, Shape};
use super::wire::{Corrupt, Cursor, DELIMITED};

/// How 64-bit integers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Longs {
    /// As strings, since many readers of JSON keep only 53 bits.
    Strings,
    Numbers,
}

/// Writes a message, or one of its fields, as JSON.
pub fn write(
    plans: &Plans,
    longs: Longs,
    id: MessageId,
    only: Option<&Field>,
    bytes: &[u8],
) -> Result<Vec<u8>, Corrupt> {
    let mut writer = Writer { plans, longs, out: Vec::with_capacity(bytes.len() * 2 + 2), runs: vec![], depth: 0 };
    match only {
        None => writer.message(plans.message(id), bytes)?,
        Some(field) => writer.only(plans.message(id), field, bytes)?,
    }
    Ok(writer.out)
}

pub(super) struct Writer<'p> {
    pub(super) plans: &'p Plans,
    pub(super) longs: Longs,
    pub(super) out: Vec<u8>,
    /// Of all messages that are open, innermost last.
    runs: Vec<Run>,
    depth: usize,
}

/// Neighbouring occurrences of one field within a message's bytes.
#[derive(Clone, Copy)]
struct Run {
    field: usize,
    start: usize,
    end: usize,
}

/// Messages within messages; what was decoded on its way here has no more.
const DEPTH_MAX: usize = 110;

impl Writer<'_> {
    fn message(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Corrupt> {
        if self.depth > DEPTH_MAX {
            return Err(Corrupt("it is nested too deeply"));
        }
        self.depth += 1;
        let written = self.form(message, bytes);
        self.depth -= 1;
        written
    }

    fn form(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Corrupt> {
        match message.form {
            Form::Object => self.object(message, bytes),
            Form::Wrapper => self.first(&message.fields[0], bytes),
            Form::Timestamp => {
                let (seconds, nanos) = seconds_and_nanos(bytes)?;
                self.display(prost_types::Timestamp { seconds, nanos });
                Ok(())
            }
            Form::Duration => {
                let (seconds, nanos) = seconds_and_nanos(bytes)?;
                self.display(prost_types::Duration { seconds, nanos });
                Ok(())
            }
            Form::FieldMask => self.field_mask(bytes),
            Form::Struct => self.spread(&message.fields[0], bytes, b"{}"),
            Form::ListValue => self.spread(&message.fields[0], bytes, b"[]"),
            Form::Value => self.value(message, bytes),
        }
    }

    fn object(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Corrupt> {
        let base = self.scan(message, bytes)?;
        self.out.push(b'{');
        let mut at = base;
        let mut is_first = true;
        while at < self.runs.len() {
            let first = self.runs[at];
            let field = &message.fields[first.field];
            let mut next = at + 1;
            while next < self.runs.len() && self.runs[next].field == first.field {
                next += 1;
            }
            let is_parted = next > at + 1;
            let mut joined = vec![];
            let occurrences = if is_parted {
                // Rare: occurrences of one field with others between them. Side by side they mean the same.
                for run in &self.runs[at..next] {
                    joined.extend_from_slice(&bytes[run.start..run.end]);
                }
                joined.as_slice()
            } else {
                &bytes[first.start..first.end]
            };
            let before = self.out.len();
            if !is_first {
                self.out.push(b',');
            }
            self.out.push(b'"');
            self.out.extend_from_slice(field.name.as_bytes());
            self.out.extend_from_slice(b"\":");
            if self.field(field, occurrences)? {
                is_first = false;
            } else {
                self.out.truncate(before);
            }
            at = next;
        }
        self.runs.truncate(base);
        self.out.push(b'}');
        Ok(())
    }

    /// Finds the fields of a message, in the order of the contract. Returns where their runs begin.
    fn scan(&mut self, message: &Message, bytes: &[u8]) -> Result<usize, Corrupt> {
        let base = self.runs.len();
        let mut cursor = Cursor::new(bytes);
        let mut is_sorted = true;
        let mut last_key = (0, usize::MAX);
        while !cursor.is_done() {
            let start = cursor.at;
            let (number, wire_type) = cursor.key()?;
            cursor.skip(wire_type)?;
            if number == last_key.0 {
                if last_key.1 != usize::MAX
                    && let Some(run) = self.runs.last_mut()
                {
                    run.end = cursor.at;
                }
                continue;
            }
            let field = message.numbered(number);
            last_key = (number, field.unwrap_or(usize::MAX));
            let Some(field) = field else { continue };
            is_sorted &= self.runs[base..].last().is_none_or(|run| run.field < field);
            self.runs.push(Run { field, start, end: cursor.at });
        }
        if !is_sorted {
            self.runs[base..].sort_by_key(|run| (run.field, run.start));
        }
        Ok(base)
    }

    /// Writes a field's value from its occurrences. False: it has its default, which is not written.
    fn field(&mut self, field: &Field, occurrences: &[u8]) -> Result<bool, Corrupt> {
        match field.shape {
            Shape::Repeated { .. } => {
                self.out.push(b'[');
                let is_empty = !self.list(field, occurrences)?;
                self.out.push(b']');
                Ok(!is_empty)
            }
            Shape::Map => {
                self.out.push(b'{');
                let is_empty = !self.entries(field, occurrences)?;
                self.out.push(b'}');
                Ok(!is_empty)
            }
            Shape::Single => self.single(field, occurrences),
        }
    }

    fn single(&mut self, field: &Field, occurrences: &[u8]) -> Result<bool, Corrupt> {
        let mut cursor = Cursor::new(occurrences);
        let mut value = cursor;
        let mut wire_type = 0;
        let mut count = 0;
        while !cursor.is_done() {
            wire_type = cursor.key()?.1;
            value = cursor;
            cursor.skip(wire_type)?;
            count += 1;
        }
        if let Kind::Message(id) = field.kind {
            let message = self.plans.message(id);
            if count == 1 {
                self.message(message, value.delimited()?)?;
                return Ok(true);
            }
            // A message that occurs twice is merged, which joining the bytes does.
            let mut merged = vec![];
            let mut cursor = Cursor::new(occurrences);
            while !cursor.is_done() {
                cursor.key()?;
                merged.extend_from_slice(cursor.delimited()?);
            }
            self.message(message, &merged)?;
            return Ok(true);
        }
        check(field.kind, wire_type)?;
        if !field.has_presence {
            let mut rest = value;
            rest.skip(wire_type)?;
            let bytes = &occurrences[value.at..rest.at];
            if bytes.iter().all(|byte| *byte == 0) {
                return Ok(false);
            }
        }
        self.scalar(field.kind, &mut value)?;
        Ok(true)
    }

    /// The elements of a list. False: there are none.
    fn list(&mut self, field: &Field, occurrences: &[u8]) -> Result<bool, Corrupt> {
        let mut cursor = Cursor::new(occurrences);
        let mut is_first = true;
        let mut comma = |out: &mut Vec<u8>| {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
        };
        while !cursor.is_done() {
            let (_, wire_type) = cursor.key()?;
            if let Kind::Message(id) = field.kind {
                comma(&mut self.out);
                let element = cursor.delimited()?;
                self.message(self.plans.message(id), element)?;
            } else if wire_type == DELIMITED && !field.kind.is_delimited() {
                let mut packed = Cursor::new(cursor.delimited()?);
                while !packed.is_done() {
                    comma(&mut self.out);
                    self.scalar(field.kind, &mut packed)?;
                }
            } else {
                check(field.kind, wire_type)?;
                comma(&mut self.out);
                self.scalar(field.kind, &mut cursor)?;
            }
        }
        Ok(!is_first)
    }

    /// The entries of a map. False: there are none.
    fn entries(&mut self, field: &Field, occurrences: &[u8]) -> Result<bool, Corrupt> {
        let Kind::Message(entry) = field.kind else { return Err(Corrupt("a map has no entries")) };
        let [key, value] = self.plans.message(entry).fields.as_slice() else {
            return Err(Corrupt("a map has no entries"));
        };
        let mut cursor = Cursor::new(occurrences);
        let mut is_first = true;
        while !cursor.is_done() {
            cursor.key()?;
            let entry = cursor.delimited()?;
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            let start = self.out.len();
            self.first(key, entry)?;
            if self.out[start] != b'"' {
                // Keys are strings, whatever they are in the contract.
                self.out.insert(start, b'"');
                self.out.push(b'"');
            }
            self.out.push(b':');
            self.first(value, entry)?;
        }
        Ok(!is_first)
    }

    /// A field that is always written, with its default when it does not occur.
    fn first(&mut self, field: &Field, bytes: &[u8]) -> Result<(), Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let mut found = None;
        while !cursor.is_done() {
            let (number, wire_type) = cursor.key()?;
            if number == field.number {
                found = Some((cursor, wire_type));
            }
            cursor.skip(wire_type)?;
        }
        match (field.kind, found) {
            (Kind::Message(id), found) => {
                let inside = found.map_or(Ok(&[][..]), |(mut cursor, _)| cursor.delimited())?;
                self.message(self.plans.message(id), inside)
            }
            (kind, Some((mut cursor, wire_type))) => {
                check(kind, wire_type)?;
                self.scalar(kind, &mut cursor)
            }
            (kind, None) => self.scalar(kind, &mut Cursor::new(&[0; 8])),
        }
    }

    /// The only field of a message that stands for the whole.
    fn spread(&mut self, field: &Field, bytes: &[u8], brackets: &[u8; 2]) -> Result<(), Corrupt> {
        self.out.push(brackets[0]);
        match field.shape {
            Shape::Map => self.entries(field, bytes)?,
            _ => self.list(field, bytes)?,
        };
        self.out.push(brackets[1]);
        Ok(())
    }

    fn value(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let mut found = None;
        while !cursor.is_done() {
            let (number, wire_type) = cursor.key()?;
            found = message.numbered(number).map(|at| (&message.fields[at], cursor, wire_type)).or(found);
            cursor.skip(wire_type)?;
        }
        match found {
            Some((field, mut cursor, wire_type)) if field.name != "null_value" => {
                check(field.kind, wire_type)?;
                match field.kind {
                    Kind::Message(id) => self.message(self.plans.message(id), cursor.delimited()?),
                    Kind::Double => {
                        self.number(f64::from_le_bytes(cursor.array()?));
                        Ok(())
                    }
                    kind => self.scalar(kind, &mut cursor),
                }
            }
            _ => {
                self.out.extend_from_slice(b"null");
                Ok(())
            }
        }
    }

    fn field_mask(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let mut paths = vec![];
        while !cursor.is_done() {
            cursor.key()?;
            paths.push(utf8(cursor.delimited()?)?);
        }
        self.text(&paths.join(","));
        Ok(())
    }

    fn only(&mut self, message: &Message, field: &Field, bytes: &[u8]) -> Result<(), Corrupt> {
        let mut occurrences = vec![];
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_done() {
            let start = cursor.at;
            let (number, wire_type) = cursor.key()?;
            cursor.skip(wire_type)?;
            if number == field.number {
                occurrences.extend_from_slice(&bytes[start..cursor.at]);
            }
        }
        debug_assert!(message.field(&field.name).is_some(), "the field is the message's");
        let start = self.out.len();
        if self.field(field, &occurrences)? {
            return Ok(());
        }
        if field.shape == Shape::Single {
            self.out.truncate(start);
            return self.first(field, &[]);
        }
        Ok(())
    }
}

fn check(kind: Kind, wire_type: u32) -> Result<(), Corrupt> {
    if kind.wire_type() == wire_type { Ok(()) } else { Err(Corrupt("a field has another type than it should")) }
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Corrupt> {
    std::str::from_utf8(bytes).map_err(|_| Corrupt("a string is not UTF-8"))
}

fn seconds_and_nanos(bytes: &[u8]) -> Result<(i64, i32), Corrupt> {
    let mut cursor = Cursor::new(bytes);
    let (mut seconds, mut nanos) = (0, 0);
    while !cursor.is_done() {
        match cursor.key()? {
            (1, 0) => seconds = cursor.varint()? as i64,
            (2, 0) => nanos = cursor.varint()? as i32,
            (_, wire_type) => cursor.skip(wire_type)?,
        }
    }
    Ok((seconds, nanos))
}
