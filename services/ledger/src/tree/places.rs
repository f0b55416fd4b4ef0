//! Where the leaves of an organization's tree stand in the log: their positions, as many in a chunk as a tile has hashes.

use cairn_tlog::TILE_WIDTH;
use rusqlite::{Connection, OptionalExtension, params};

use super::organizations::Of;

pub struct Places<'c> {
    connection: &'c Connection,
    of: Of,
}

impl<'c> Places<'c> {
    pub fn new(connection: &'c Connection, of: Of) -> Self {
        Self { connection, of }
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> Result<u64, rusqlite::Error> {
        let mut find = self.connection.prepare_cached("SELECT size FROM organization WHERE tree = ?1")?;
        Ok(find.query_row([self.of.0], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// The number of the leaf at a position.
    pub fn number_of(&self, position: u64) -> Result<Option<u64>, rusqlite::Error> {
        let mut find = self.connection.prepare_cached(
            "SELECT chunk, positions FROM place WHERE tree = ?1 AND position <= ?2 ORDER BY position DESC LIMIT 1",
        )?;
        let found = find.query_row((self.of.0, position.cast_signed()), |row| Ok((row.get::<_, u64>(0)?, row.get(1)?)));
        let Some((chunk, bytes)) = found.optional()? else { return Ok(None) };
        let at = unpack(bytes).binary_search(&position).ok();
        Ok(at.map(|at| chunk * TILE_WIDTH + at as u64))
    }

    /// The positions of the first `width` leaves of a chunk.
    pub fn positions(&self, chunk: u64, width: u16) -> Result<Vec<u64>, rusqlite::Error> {
        let sql = "SELECT positions FROM place WHERE tree = ?1 AND chunk = ?2";
        let mut find = self.connection.prepare_cached(sql)?;
        let found = find.query_row((self.of.0, chunk.cast_signed()), |row| row.get(0)).optional()?;
        let mut positions = found.map(unpack).unwrap_or_default();
        positions.truncate(width.into());
        Ok(positions)
    }

    /// Adds leaves to a tree of this size.
    pub fn extend(&self, size: u64, positions: &[u64]) -> Result<(), rusqlite::Error> {
        let sql = "INSERT OR REPLACE INTO place (tree, chunk, position, positions) VALUES (?1, ?2, ?3, ?4)";
        let mut keep = self.connection.prepare_cached(sql)?;
        let first = size / TILE_WIDTH;
        let mut open = self.positions(first, (size % TILE_WIDTH) as u16)?;
        open.extend(positions);
        for (chunk, positions) in (first..).zip(open.chunks(TILE_WIDTH as usize)) {
            let bytes: Vec<u8> = positions.iter().flat_map(|position| position.to_be_bytes()).collect();
            keep.execute(params![self.of.0, chunk.cast_signed(), positions[0].cast_signed(), bytes])?;
        }
        let grown = size + positions.len() as u64;
        let mut grow = self.connection.prepare_cached("UPDATE organization SET size = ?2 WHERE tree = ?1")?;
        grow.execute((self.of.0, grown.cast_signed())).map(drop)
    }
}

fn unpack(bytes: Vec<u8>) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect()
}
