use std::cell::RefCell;
use std::collections::HashMap;

use cairn_tlog::{Edge, Frontier, Hash, Tile, Tiles};
use rusqlite::{Connection, OptionalExtension};

use super::organizations::Of;

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeFault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("{0} is missing or too short: the tree is damaged, rebuild the view")]
    Damaged(Tile),
}

/// The tiles of one tree of the view. A proof asks for the same few again and again: each is read once.
pub struct StoredTiles<'c> {
    connection: &'c Connection,
    of: Of,
    read: RefCell<HashMap<i64, Vec<Hash>>>,
}

impl Tiles for StoredTiles<'_> {
    type Fault = TreeFault;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, TreeFault> {
        let known = self.read.borrow().get(&id(&tile)).cloned();
        let hashes = match known {
            Some(hashes) => hashes,
            None => self.find(&tile)?,
        };
        if hashes.len() < usize::from(tile.width) {
            return Err(TreeFault::Damaged(tile));
        }
        Ok(hashes)
    }
}

impl<'c> StoredTiles<'c> {
    pub fn new(connection: &'c Connection, of: Of) -> Self {
        Self { connection, of, read: RefCell::default() }
    }

    fn find(&self, tile: &Tile) -> Result<Vec<Hash>, rusqlite::Error> {
        let mut find = self.connection.prepare_cached("SELECT hashes FROM tile WHERE tree = ?1 AND id = ?2")?;
        let bytes: Option<Vec<u8>> = find.query_row((self.of.0, id(tile)), |row| row.get(0)).optional()?;
        let hashes: Vec<Hash> = bytes.unwrap_or_default().as_chunks::<32>().0.iter().copied().map(Hash).collect();
        self.read.borrow_mut().insert(id(tile), hashes.clone());
        Ok(hashes)
    }

    /// Keeps a tile, in place of a narrower one.
    fn keep(&self, tile: &Tile, hashes: &[Hash]) -> Result<(), rusqlite::Error> {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        self.read.borrow_mut().remove(&id(tile));
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO tile (tree, id, hashes) VALUES (?1, ?2, ?3)")?
            .execute((self.of.0, id(tile), bytes))?;
        Ok(())
    }

    /// Keeps what a batch has added to an edge.
    pub fn keep_all(&self, full: &[(Tile, Vec<Hash>)], edge: &Edge) -> Result<(), rusqlite::Error> {
        full.iter().try_for_each(|(tile, hashes)| self.keep(tile, hashes))?;
        edge.grown().try_for_each(|(tile, hashes)| self.keep(&tile, hashes))
    }

    /// The root of the tree when it had this size.
    pub fn root(&self, size: u64) -> Result<Hash, TreeFault> {
        Frontier::of(self, size).map(|tree| tree.root())
    }
}

/// Level and number in one: a level has at most 2^56 tiles.
fn id(tile: &Tile) -> i64 {
    (u64::from(tile.level) << 56 | tile.number).cast_signed()
}
