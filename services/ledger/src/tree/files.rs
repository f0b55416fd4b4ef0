use cairn_tlog::{TILE_WIDTH, Tile, Tiles};
use rusqlite::Connection;

use super::tiles::{StoredTiles, TreeFault, bundle};

/// A tile of the tree or a bundle of entries, by its path (C2SP tlog-tiles). `None`: there is none in a log of this size.
pub fn read_file(connection: &Connection, path: &str, size: u64) -> Result<Option<Vec<u8>>, TreeFault> {
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
        return Ok(Some(joined(bundle(connection, tile.number, tile.width)?)));
    }
    let mut hashes = StoredTiles(connection).tile(tile)?;
    hashes.truncate(tile.width.into());
    Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
}

/// Each entry after its length, 16 bits, the larger byte first.
fn joined(entries: Vec<Vec<u8>>) -> Vec<u8> {
    let mut file = vec![];
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("an entry's texts are bounded");
        file.extend(length.to_be_bytes());
        file.extend(entry);
    }
    file
}
