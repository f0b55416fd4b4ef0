use crate::ResourceFault;

/// The string field that `numbers` lead to in an encoded message; nothing if it is not set.
///
/// INVARIANT: gives what a full decoder gives. The last occurrence of a field wins, occurrences of a message merge, and
/// what a decoder refuses is refused: otherwise a caller could be judged by one name and served another.
pub(crate) fn text<'a>(message: &'a [u8], numbers: &[u32]) -> Result<Option<&'a str>, ResourceFault> {
    match last(message, numbers)? {
        Some(bytes) => {
            std::str::from_utf8(bytes).map(Some).map_err(|_| ResourceFault::Malformed("a string is not UTF-8"))
        }
        None => Ok(None),
    }
}

fn last<'a>(message: &'a [u8], numbers: &[u32]) -> Result<Option<&'a [u8]>, ResourceFault> {
    let Some((&wanted, deeper)) = numbers.split_first() else { return Ok(Some(message)) };
    let mut found = None;
    let mut reader = Reader(message);
    while !reader.0.is_empty() {
        let key = reader.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(ResourceFault::Malformed("a field number is out of range"))?;
        match (key & 7, number == wanted) {
            (2, true) => found = last(reader.bytes()?, deeper)?.or(found),
            (_, true) => return Err(ResourceFault::Malformed("a field has another type")),
            (0, false) => drop(reader.varint()?),
            (1, false) => drop(reader.take(8)?),
            (2, false) => drop(reader.bytes()?),
            (5, false) => drop(reader.take(4)?),
            _ => return Err(ResourceFault::Malformed("groups are not spoken here")),
        }
    }
    Ok(found)
}

/// What is left of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, ResourceFault> {
        let mut value = 0;
        for at in 0..10 {
            let byte = self.take(1)?[0];
            if at == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ResourceFault::Malformed("a number is too long"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], ResourceFault> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ResourceFault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ResourceFault::Malformed("it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }
}
