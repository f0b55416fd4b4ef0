use cairn_tlog::{Frontier, Hash, TILE_WIDTH, Tile, Tiles};
use rusqlite::{Connection, OptionalExtension};

/// Why the tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeFault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("{0} is missing or too short: the tree is damaged, rebuild the view")]
    Damaged(Tile),
}

/// The tiles of the view.
pub struct StoredTiles<'c>(pub &'c Connection);

impl Tiles for StoredTiles<'_> {
    type Fault = TreeFault;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, TreeFault> {
        let mut find = self.0.prepare_cached("SELECT hashes FROM tile WHERE id = ?1")?;
        let bytes: Option<Vec<u8>> = find.query_row([id(&tile)], |row| row.get(0)).optional()?;
        let hashes: Vec<Hash> = bytes.unwrap_or_default().as_chunks::<32>().0.iter().copied().map(Hash).collect();
        if hashes.len() < usize::from(tile.width) {
            return Err(TreeFault::Damaged(tile));
        }
        Ok(hashes)
    }
}

impl StoredTiles<'_> {
    /// Keeps a tile, in place of a narrower one.
    pub fn keep(&self, tile: &Tile, hashes: &[Hash]) -> Result<(), rusqlite::Error> {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        self.0
            .prepare_cached("INSERT OR REPLACE INTO tile (id, hashes) VALUES (?1, ?2)")?
            .execute((id(tile), bytes))?;
        Ok(())
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

/// How many entries the tree has.
pub fn size(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let mut last = connection.prepare_cached("SELECT number FROM entry ORDER BY position DESC LIMIT 1")?;
    Ok(last.query_row([], |row| row.get::<_, u64>(0)).optional()?.map_or(0, |last| last + 1))
}

/// An entry and its number in the tree.
pub fn entry_at(connection: &Connection, position: u64) -> Result<Option<(u64, Vec<u8>)>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT number, bytes FROM entry WHERE position = ?1")?;
    find.query_row([position.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// `width` entries from the first of a bundle.
pub fn bundle(connection: &Connection, number: u64, width: u16) -> Result<Vec<Vec<u8>>, rusqlite::Error> {
    let sql = "SELECT bytes FROM entry WHERE position >= (SELECT position FROM bundle WHERE number = ?1)
               ORDER BY position LIMIT ?2";
    let mut find = connection.prepare_cached(sql)?;
    let found = find.query_map((number.cast_signed(), width), |row| row.get(0))?;
    found.collect()
}

/// Whether an entry is the first of a bundle, which is as wide as a tile.
pub fn begins_bundle(number: u64) -> bool {
    number.is_multiple_of(TILE_WIDTH)
}
