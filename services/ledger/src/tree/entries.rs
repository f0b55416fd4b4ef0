//! Entries as the view keeps them: each for itself until its bundle is full, then as the bundle's file (C2SP tlog-tiles:
//! each entry after its length, 16 bits, the larger byte first).

use cairn_tlog::TILE_WIDTH;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::entry;

/// An entry, and the position of its event.
type Placed = (u64, Vec<u8>);

/// Keeps the entries of a batch.
pub struct Keeper<'t> {
    tx: &'t Transaction<'t>,
    /// Number in the tree of the next entry.
    next: u64,
    /// The newest, of a bundle that is not full.
    open: Vec<Placed>,
}

impl<'t> Keeper<'t> {
    pub fn new(tx: &'t Transaction<'t>, size: u64) -> Self {
        Self { tx, next: size, open: vec![] }
    }

    /// Keeps the next entry, that of the event at this position.
    pub fn push(&mut self, position: u64, entry: Vec<u8>) -> Result<(), rusqlite::Error> {
        self.open.push((position, entry));
        self.next += 1;
        match self.next.is_multiple_of(TILE_WIDTH) {
            true => self.close(),
            false => Ok(()),
        }
    }

    /// Writes the bundle that is full now, in place of its entries.
    fn close(&mut self) -> Result<(), rusqlite::Error> {
        let mut entries = alone(self.tx, TILE_WIDTH as u16)?;
        self.tx.prepare_cached("DELETE FROM entry")?.execute([])?;
        entries.append(&mut self.open);
        let number = self.next / TILE_WIDTH - 1;
        let values = params![number.cast_signed(), entries[0].0.cast_signed(), file(&entries)];
        let sql = "INSERT INTO bundle (number, position, entries) VALUES (?1, ?2, ?3)";
        self.tx.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// Writes what is in no full bundle.
    pub fn finish(self) -> Result<(), rusqlite::Error> {
        let first = self.next - self.open.len() as u64;
        let mut insert = self.tx.prepare_cached("INSERT INTO entry (position, number, bytes) VALUES (?1, ?2, ?3)")?;
        for (number, (position, bytes)) in (first..).zip(self.open) {
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

/// The entry of the event at a position, and its number in the tree.
pub fn entry_at(connection: &Connection, position: u64) -> Result<Option<(u64, Vec<u8>)>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT number, bytes FROM entry WHERE position = ?1")?;
    let found = find.query_row([position.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if found.is_some() {
        return Ok(found);
    }
    let sql = "SELECT number, entries FROM bundle WHERE position <= ?1 ORDER BY position DESC LIMIT 1";
    let mut find = connection.prepare_cached(sql)?;
    let found = find.query_row([position.cast_signed()], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let Some((bundle, entries)) = found.optional()? else { return Ok(None) };
    let mut numbered = (bundle * TILE_WIDTH..).zip(each(&entries));
    let found = numbered.find(|(_, entry)| entry::position(entry) == Some(position));
    Ok(found.map(|(number, entry)| (number, entry.to_vec())))
}

/// The file of a bundle, of its first `width` entries.
pub fn bundle(connection: &Connection, number: u64, width: u16) -> Result<Vec<u8>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT entries FROM bundle WHERE number = ?1")?;
    let full: Option<Vec<u8>> = find.query_row([number.cast_signed()], |row| row.get(0)).optional()?;
    let Some(mut entries) = full else { return Ok(file(&alone(connection, width)?)) };
    let wanted = each(&entries).take(width.into()).map(|entry| LENGTH + entry.len()).sum();
    entries.truncate(wanted);
    Ok(entries)
}

/// The first of the entries whose bundle is not full.
fn alone(connection: &Connection, count: u16) -> Result<Vec<Placed>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT position, bytes FROM entry ORDER BY position LIMIT ?1")?;
    find.query_map([count], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Bytes that tell how long an entry is.
const LENGTH: usize = 2;

fn file(entries: &[Placed]) -> Vec<u8> {
    pack(entries.iter().map(|(_, entry)| entry.as_slice()))
}

/// Entries as a file of them.
pub fn pack<'e>(entries: impl Iterator<Item = &'e [u8]>) -> Vec<u8> {
    let mut file = vec![];
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("an entry's texts are bounded");
        file.extend(length.to_be_bytes());
        file.extend(entry);
    }
    file
}

/// Each entry of a file.
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
                keeper.push(position(number), text(number)).unwrap();
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

    fn expected(numbers: std::ops::Range<u64>) -> Vec<u8> {
        file(&numbers.map(|number| (position(number), text(number))).collect::<Vec<_>>())
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
            for number in [0, 1, 2, 254, 255, 256, 257, 511, 512, 599] {
                let found = entry_at(&connection, position(number)).unwrap();
                assert_eq!(found, Some((number, text(number))), "{batches:?}");
                assert_eq!(entry_at(&connection, position(number) + 1).unwrap(), None, "that is no entry of ours");
            }
            assert_eq!(entry_at(&connection, 9).unwrap(), None);
            for (number, width) in [(0, 256), (1, 256), (2, 88), (2, 1), (1, 3), (0, 255)] {
                let first = number * TILE_WIDTH;
                let expected = expected(first..first + u64::from(width));
                assert_eq!(bundle(&connection, number, width).unwrap(), expected, "{batches:?} {number} {width}");
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
}
