//! Entries as the view keeps them: each for itself until its bundle is full, then as the bundle's file (C2SP tlog-tiles:
//! each entry after its length, 16 bits, the larger byte first), compressed: entries of one bundle have much in common.

use std::cell::RefCell;
use std::io;

use cairn_tlog::TILE_WIDTH;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::entry;
use super::run::Run;

/// How hard it is tried to make a bundle small. Most of what can be saved is saved by the quickest.
const LEVEL: i32 = 1;

/// A bundle as it is stored. Blocks for as long as it takes to compress some hundred entries.
pub fn compressed(file: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(file, LEVEL).expect("memory can be written to")
}

/// Keeps the entries of a batch.
pub struct Keeper<'t> {
    tx: &'t Transaction<'t>,
    /// Number in the tree of the next entry.
    next: u64,
}

impl<'t> Keeper<'t> {
    pub fn new(tx: &'t Transaction<'t>, size: u64) -> Self {
        Self { tx, next: size }
    }

    /// Keeps the next entries, all of one bundle.
    pub fn push(&mut self, run: &Run) -> Result<(), rusqlite::Error> {
        let first = self.next;
        self.next += run.len();
        if !self.next.is_multiple_of(TILE_WIDTH) {
            return self.add(first, run);
        }
        let (start, bundle) = match &run.bundle {
            Some(bundle) => (run.positions[0], bundle.as_slice()),
            None => {
                let (start, mut file) = alone(self.tx, TILE_WIDTH as u16)?;
                file.extend(&run.file);
                self.tx.prepare_cached("DELETE FROM entry")?.execute([])?;
                (start.unwrap_or(run.positions[0]), &*compressed(&file))
            }
        };
        let number = self.next / TILE_WIDTH - 1;
        let sql = "INSERT INTO bundle (number, position, entries) VALUES (?1, ?2, ?3)";
        let values = params![number.cast_signed(), start.cast_signed(), bundle];
        self.tx.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// Keeps entries whose bundle is not full.
    fn add(&self, first: u64, run: &Run) -> Result<(), rusqlite::Error> {
        let mut insert = self.tx.prepare_cached("INSERT INTO entry (position, number, bytes) VALUES (?1, ?2, ?3)")?;
        for ((number, position), bytes) in (first..).zip(&run.positions).zip(each(&run.file)) {
            insert.execute(params![position.cast_signed(), number.cast_signed(), bytes])?;
        }
        Ok(())
    }
}

/// How many entries the tree has.
pub fn size(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let mut last = connection.prepare_cached("SELECT number + 1 FROM entry ORDER BY position DESC LIMIT 1")?;
    if let Some(size) = last.query_row([], |row| row.get(0)).optional()? {
        return Ok(size);
    }
    let mut last = connection.prepare_cached("SELECT number + 1 FROM bundle ORDER BY number DESC LIMIT 1")?;
    let bundles: Option<u64> = last.query_row([], |row| row.get(0)).optional()?;
    Ok(bundles.unwrap_or(0) * TILE_WIDTH)
}

/// The entries that the view has. What is read one after the other is often of one bundle, which is unpacked once.
pub struct Entries<'c> {
    connection: &'c Connection,
    unpacked: RefCell<Option<Bundle>>,
}

/// A full bundle.
struct Bundle {
    number: u64,
    file: Vec<u8>,
}

impl Bundle {
    /// The entry of the event at a position, and its number in the tree.
    fn find(&self, position: u64) -> Option<(u64, Vec<u8>)> {
        let mut numbered = (self.number * TILE_WIDTH..).zip(each(&self.file));
        let found = numbered.find(|(_, entry)| entry::position(entry) == Some(position));
        found.map(|(number, entry)| (number, entry.to_vec()))
    }
}

impl<'c> Entries<'c> {
    pub fn new(connection: &'c Connection) -> Self {
        Self { connection, unpacked: RefCell::default() }
    }

    /// The entry of the event at a position, and its number in the tree.
    pub fn at(&self, position: u64) -> Result<Option<(u64, Vec<u8>)>, rusqlite::Error> {
        let mut find = self.connection.prepare_cached("SELECT number, bytes FROM entry WHERE position = ?1")?;
        let found = find.query_row([position.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if found.is_some() {
            return Ok(found);
        }
        let sql = "SELECT number FROM bundle WHERE position <= ?1 ORDER BY position DESC LIMIT 1";
        let mut find = self.connection.prepare_cached(sql)?;
        let number: Option<u64> = find.query_row([position.cast_signed()], |row| row.get(0)).optional()?;
        let Some(number) = number else { return Ok(None) };
        self.unpack(number)?;
        Ok(self.unpacked.borrow().as_ref().and_then(|bundle| bundle.find(position)))
    }

    /// The file of a bundle, of its first `width` entries.
    pub fn file(&self, number: u64, width: u16) -> Result<Vec<u8>, rusqlite::Error> {
        if !self.unpack(number)? {
            return alone(self.connection, width).map(|(_, file)| file);
        }
        let mut file = self.unpacked.take().map_or_else(Vec::new, |bundle| bundle.file);
        let wanted = each(&file).take(width.into()).map(|entry| LENGTH + entry.len()).sum();
        file.truncate(wanted);
        Ok(file)
    }

    /// Has a bundle at hand. `false`: it is not full, or there is none.
    fn unpack(&self, number: u64) -> Result<bool, rusqlite::Error> {
        if self.unpacked.borrow().as_ref().is_some_and(|bundle| bundle.number == number) {
            return Ok(true);
        }
        let mut find = self.connection.prepare_cached("SELECT entries FROM bundle WHERE number = ?1")?;
        let unpacked = |row: &rusqlite::Row<'_>| {
            let malformed =
                |fault: io::Error| rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(fault));
            zstd::decode_all(row.get_ref(0)?.as_blob()?).map_err(malformed)
        };
        let file = find.query_row([number.cast_signed()], unpacked).optional()?;
        let is_full = file.is_some();
        *self.unpacked.borrow_mut() = file.map(|file| Bundle { number, file });
        Ok(is_full)
    }
}

/// The first of the entries whose bundle is not full: where they begin, and their file.
fn alone(connection: &Connection, count: u16) -> Result<(Option<u64>, Vec<u8>), rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT position, bytes FROM entry ORDER BY position LIMIT ?1")?;
    let (mut first, mut file) = (None, vec![]);
    let mut rows = find.query([count])?;
    while let Some(row) = rows.next()? {
        first = first.or(Some(row.get(0)?));
        let entry = row.get_ref(1)?.as_blob()?;
        pack(&mut file, |file| file.extend(entry));
    }
    Ok((first, file))
}

/// Bytes that tell how long an entry is.
const LENGTH: usize = 2;

/// Adds the entry that `write` writes to a file of them.
pub fn pack(file: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
    let start = file.len();
    file.extend([0; LENGTH]);
    write(file);
    let (length, entry) = file[start..].split_at_mut(LENGTH);
    let bytes = u16::try_from(entry.len()).expect("an entry's texts are bounded");
    length.copy_from_slice(&bytes.to_be_bytes());
    entry
}

/// Each entry of a file.
fn each(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<LENGTH>()?;
        let (entry, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = after;
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use cairn_projection::Projection;
    use cairn_tlog::Hash;

    use super::super::Tree;
    use super::super::run::widths;
    use super::*;

    /// A tree over events at every third position from 10, told in batches of these sizes.
    fn kept(batches: &[u64]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(Tree::SCHEMA).unwrap();
        for batch in batches {
            let tx = connection.transaction().unwrap();
            let mut next = size(&tx).unwrap();
            let mut keeper = Keeper::new(&tx, next);
            for width in widths(next, *batch as usize) {
                let mut run = Run::default();
                for number in next..next + width as u64 {
                    run.push(position(number), None, |file| file.extend(text(number)));
                }
                next += width as u64;
                keeper.push(&run.closed()).unwrap();
            }
            tx.commit().unwrap();
        }
        connection
    }

    fn position(number: u64) -> u64 {
        10 + 3 * number
    }

    fn text(number: u64) -> Vec<u8> {
        format!(r#"{{"v":1,"position":{},"stream":"{}"}}"#, position(number), "s".repeat(number as usize % 7))
            .into_bytes()
    }

    fn expected(numbers: std::ops::Range<u64>) -> Vec<u8> {
        let mut file = vec![];
        for number in numbers {
            pack(&mut file, |file| file.extend(text(number)));
        }
        file
    }

    /// Every row there is.
    fn rows(connection: &Connection) -> Vec<(u64, u64, Vec<u8>)> {
        let sql = "SELECT number, position, entries FROM bundle UNION ALL SELECT number, position, bytes FROM entry";
        let mut rows = connection.prepare(sql).unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect()
    }

    const BATCHES: &[&[u64]] = &[&[600], &[1, 1, 1, 253, 1, 255, 88], &[255, 2, 343], &[256, 256, 88]];

    #[test]
    fn entries_are_found_however_they_came() {
        for batches in BATCHES {
            let connection = kept(batches);
            assert_eq!(size(&connection).unwrap(), 600);
            let entries = Entries::new(&connection);
            for number in [0, 1, 2, 254, 255, 256, 257, 511, 512, 599, 3, 400] {
                let found = entries.at(position(number)).unwrap();
                assert_eq!(found, Some((number, text(number))), "{batches:?}");
                assert_eq!(entries.at(position(number) + 1).unwrap(), None, "that is no entry of ours");
            }
            assert_eq!(entries.at(9).unwrap(), None);
            for (number, width) in [(0, 256), (1, 256), (2, 88), (2, 1), (1, 3), (0, 255)] {
                let first = number * TILE_WIDTH;
                let expected = expected(first..first + u64::from(width));
                assert_eq!(entries.file(number, width).unwrap(), expected, "{batches:?} {number} {width}");
            }
        }
    }

    #[test]
    fn what_is_kept_does_not_tell_how_it_came() {
        let whole = rows(&kept(&[600]));
        assert_eq!(whole.len(), 2 + 88);
        for batches in BATCHES {
            assert_eq!(rows(&kept(batches)), whole, "{batches:?}");
        }
        assert_eq!(size(&kept(&[512])).unwrap(), 512);
        assert_eq!(size(&kept(&[])).unwrap(), 0);
    }

    /// Rows follow from the log alone. If another release of the library makes other bytes, so does another build of the
    /// view: give the view a new name then, and these bytes here.
    #[test]
    fn a_bundle_is_compressed_to_the_same_bytes_for_ever() {
        let stored = compressed(&expected(0..TILE_WIDTH));
        assert_eq!(
            Hash::leaf(&stored).to_string(),
            "l+d/xUN7KS4Pf4dRwdtVqOnPRL/MCxvRnwA0ipL3mEQ=",
            "the view needs a new name"
        );
    }
}
