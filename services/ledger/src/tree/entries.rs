//! Entries as the view keeps them: in chunks, which put together are the files of bundles (C2SP tlog-tiles: each entry
//! after its length, 16 bits, the larger byte first).

use cairn_tlog::TILE_WIDTH;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::entry;

/// Entries that are to be kept.
pub struct Keeper<'t> {
    tx: &'t Transaction<'t>,
    /// Number in the tree of the next entry.
    next: u64,
    open: Option<Chunk>,
}

/// A chunk that is being made.
struct Chunk {
    position: u64,
    number: u64,
    count: u64,
    entries: Vec<u8>,
}

impl<'t> Keeper<'t> {
    pub fn new(tx: &'t Transaction<'t>, size: u64) -> Self {
        Self { tx, next: size, open: None }
    }

    /// Keeps the next entry, that of the event at this position.
    pub fn push(&mut self, position: u64, entry: &[u8]) -> Result<(), rusqlite::Error> {
        let number = self.next;
        let chunk = self.open.get_or_insert_with(|| Chunk { position, number, count: 0, entries: vec![] });
        let length = u16::try_from(entry.len()).expect("an entry's texts are bounded");
        chunk.entries.extend(length.to_be_bytes());
        chunk.entries.extend(entry);
        chunk.count += 1;
        self.next += 1;
        if self.next.is_multiple_of(TILE_WIDTH) {
            self.finish()?;
        }
        Ok(())
    }

    /// Writes what is not written yet.
    pub fn finish(&mut self) -> Result<(), rusqlite::Error> {
        let Some(Chunk { position, number, count, entries }) = self.open.take() else { return Ok(()) };
        let values = params![position.cast_signed(), number.cast_signed(), count.cast_signed(), entries];
        let sql = "INSERT INTO chunk (position, number, count, entries) VALUES (?1, ?2, ?3, ?4)";
        self.tx.prepare_cached(sql)?.execute(values)?;
        if number.is_multiple_of(TILE_WIDTH) {
            let sql = "INSERT INTO bundle (number, position) VALUES (?1, ?2)";
            let values = params![(number / TILE_WIDTH).cast_signed(), position.cast_signed()];
            self.tx.prepare_cached(sql)?.execute(values)?;
        }
        Ok(())
    }
}

/// How many entries the tree has.
pub fn size(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let mut last = connection.prepare_cached("SELECT number + count FROM chunk ORDER BY position DESC LIMIT 1")?;
    Ok(last.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The entry of the event at a position, and its number in the tree.
pub fn entry_at(connection: &Connection, position: u64) -> Result<Option<(u64, Vec<u8>)>, rusqlite::Error> {
    let sql = "SELECT number, entries FROM chunk WHERE position <= ?1 ORDER BY position DESC LIMIT 1";
    let mut find = connection.prepare_cached(sql)?;
    let found = find.query_row([position.cast_signed()], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)));
    let Some((first, entries)) = found.optional()? else { return Ok(None) };
    let found = (first..).zip(each(&entries)).find(|(_, entry)| entry::position(entry) == Some(position));
    Ok(found.map(|(number, entry)| (number, entry.to_vec())))
}

/// The file of a bundle, of its first `width` entries.
pub fn bundle(connection: &Connection, number: u64, width: u16) -> Result<Vec<u8>, rusqlite::Error> {
    let sql = "SELECT count, entries FROM chunk WHERE position >= (SELECT position FROM bundle WHERE number = ?1)
               ORDER BY position";
    let mut find = connection.prepare_cached(sql)?;
    let mut rows = find.query([number.cast_signed()])?;
    let (mut file, mut left) = (vec![], u64::from(width));
    while left > 0 {
        let Some(row) = rows.next()? else { break };
        let (count, entries): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        match count <= left {
            true => file.extend(entries),
            false => {
                let wanted: usize = each(&entries).take(left as usize).map(|entry| LENGTH + entry.len()).sum();
                file.extend(&entries[..wanted]);
            }
        }
        left -= count.min(left);
    }
    Ok(file)
}

/// Bytes that tell how long an entry is.
const LENGTH: usize = 2;

/// Each entry of a chunk.
fn each(entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = entries;
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

    use super::super::Tree;
    use super::*;

    /// A tree over events at every third position from 10, told in batches of these sizes.
    fn kept(batches: &[u64]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(Tree::SCHEMA).unwrap();
        for batch in batches {
            let tx = connection.transaction().unwrap();
            let first = size(&tx).unwrap();
            let mut keeper = Keeper::new(&tx, first);
            for number in first..first + batch {
                keeper.push(position(number), &text(number)).unwrap();
            }
            keeper.finish().unwrap();
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

    fn file(numbers: std::ops::Range<u64>) -> Vec<u8> {
        numbers.map(text).flat_map(|entry| [&(entry.len() as u16).to_be_bytes()[..], &entry].concat()).collect()
    }

    #[test]
    fn entries_are_found_however_they_came() {
        for batches in [&[600][..], &[1, 1, 1, 253, 1, 255, 88], &[255, 2, 343], &[256, 256, 88]] {
            let connection = kept(batches);
            assert_eq!(size(&connection).unwrap(), 600);
            for number in [0, 1, 2, 254, 255, 256, 257, 511, 512, 599] {
                let found = entry_at(&connection, position(number)).unwrap();
                assert_eq!(found, Some((number, text(number))), "{batches:?}");
                assert_eq!(entry_at(&connection, position(number) + 1).unwrap(), None, "that is no entry of ours");
            }
            assert_eq!(entry_at(&connection, 9).unwrap(), None);
            for (number, width) in [(0, 256), (1, 256), (2, 88), (2, 1), (1, 3), (0, 255)] {
                let first = number * TILE_WIDTH;
                let expected = file(first..first + u64::from(width));
                assert_eq!(bundle(&connection, number, width).unwrap(), expected, "{batches:?} {number} {width}");
            }
        }
    }

    #[test]
    fn a_row_never_reaches_beyond_its_bundle() {
        let connection = kept(&[1000, 24, 1]);
        let mut rows = connection.prepare("SELECT number, count FROM chunk ORDER BY position").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let rows: Vec<(u64, u64)> = rows.collect::<Result<_, _>>().unwrap();
        assert_eq!(rows, [(0, 256), (256, 256), (512, 256), (768, 232), (1000, 24), (1024, 1)]);
    }
}
