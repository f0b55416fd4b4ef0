use cairn_tlog::{Bundle, Hash, proof};
use rusqlite::Connection;

use super::entries::Entries;
use super::organizations::Of;
use super::places::Places;
use super::signed::Signed;
use super::tiles::{StoredTiles, TreeFault};

/// An entry, and the proof that it is under a checkpoint.
pub struct Proof {
    pub entry: Vec<u8>,
    pub bundle: Bundle,
}

/// The number of an event's entry in the tree: checkpoints of a larger size cover it. `None`: the tree has no such entry.
pub fn number_of(connection: &Connection, of: Of, position: u64) -> Result<Option<u64>, TreeFault> {
    match of {
        Of::LOG => Ok(Entries::new(connection).at(position)?.map(|(number, _)| number)),
        _ => Ok(Places::new(connection, of).number_of(position)?),
    }
}

/// Proves the entries of some events. `None`: the tree has no such entry, or the checkpoint does not cover it.
pub fn proofs_of(
    connection: &Connection,
    of: Of,
    positions: &[u64],
    signed: &Signed,
) -> Result<Vec<Option<Proof>>, TreeFault> {
    let (tiles, entries) = (StoredTiles::new(connection, of), Entries::new(connection));
    let size = signed.checkpoint.size;
    let prove = |position: &u64| {
        let Some((in_log, entry)) = entries.at(*position)? else { return Ok(None) };
        let number = match of {
            Of::LOG => Some(in_log),
            _ => Places::new(connection, of).number_of(*position)?,
        };
        let Some(number) = number.filter(|number| *number < size) else { return Ok(None) };
        let hashes = proof::inclusion(&tiles, number, size)?;
        let bundle = Bundle { extra: None, index: number, hashes, checkpoint: signed.note.clone() };
        Ok(Some(Proof { entry, bundle }))
    };
    positions.iter().map(prove).collect()
}

/// That the tree of one size begins with that of another.
pub fn consistency(connection: &Connection, of: Of, small: u64, large: u64) -> Result<Vec<Hash>, TreeFault> {
    proof::consistency(&StoredTiles::new(connection, of), small, large)
}
