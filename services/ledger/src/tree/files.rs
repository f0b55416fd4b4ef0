use cairn_tlog::{TILE_WIDTH, Tile, Tiles};
use rusqlite::Connection;

use super::entries::{Entries, pack};
use super::organizations::Of;
use super::places::Places;
use super::tiles::{StoredTiles, TreeFault};

/// A tile of the tree or a bundle of entries, by its path (C2SP tlog-tiles). `None`: there is none in a log of this size.
pub fn read_file(connection: &Connection, of: Of, path: &str, size: u64) -> Result<Option<Vec<u8>>, TreeFault> {
    let (is_bundle, tile) = match path.strip_prefix("tile/entries/") {
        Some(number) => (true, format!("tile/0/{number}")),
        None => (false, path.to_owned()),
    };
    let Ok(tile) = tile.parse::<Tile>() else { return Ok(None) };
    let last = tile.number.checked_mul(TILE_WIDTH).and_then(|first| first.checked_add(u64::from(tile.width)));
    if last.is_none_or(|last| last > Tile::count_at(tile.level, size)) {
        return Ok(None);
    }
    if is_bundle {
        return match of {
            Of::LOG => Ok(Some(Entries::new(connection).file(tile.number, tile.width)?)),
            _ => picked(connection, of, tile).map(Some),
        };
    }
    let mut hashes = StoredTiles::new(connection, of).tile(tile)?;
    hashes.truncate(tile.width.into());
    Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
}

/// The entries of an organization beside a tile, picked out of the log's.
fn picked(connection: &Connection, of: Of, tile: Tile) -> Result<Vec<u8>, TreeFault> {
    let positions = Places::new(connection, of).positions(tile.number, tile.width)?;
    let (entries, mut file) = (Entries::new(connection), vec![]);
    for position in positions {
        let (_, entry) = entries.at(position)?.ok_or(TreeFault::Damaged(tile))?;
        pack(&mut file, |file| file.extend(entry));
    }
    Ok(file)
}
