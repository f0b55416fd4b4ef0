use cairn_tlog::{Bundle, Hash, proof};
use rusqlite::Connection;

use super::entries::entry_at;
use super::signed::Signed;
use super::tiles::{StoredTiles, TreeFault};

/// An entry and the proof that it is under a checkpoint. `None`: the tree has no such entry, or the checkpoint does not
/// cover it yet, which `number` tells.
pub fn proof_of(connection: &Connection, position: u64, signed: &Signed) -> Result<Option<Proof>, TreeFault> {
    let Some((number, entry)) = entry_at(connection, position)? else { return Ok(None) };
    let size = signed.checkpoint.size;
    if number >= size {
        return Ok(Some(Proof { entry, bundle: None }));
    }
    let hashes = proof::inclusion(&StoredTiles(connection), number, size)?;
    let bundle = Bundle { extra: None, index: number, hashes, checkpoint: signed.note.clone() };
    Ok(Some(Proof { entry, bundle: Some(bundle) }))
}

/// What is known of an event.
pub struct Proof {
    pub entry: Vec<u8>,
    /// `None`: it is in the tree, and no checkpoint covers it yet.
    pub bundle: Option<Bundle>,
}

/// That the tree of one size begins with that of another.
pub fn consistency(connection: &Connection, small: u64, large: u64) -> Result<Vec<Hash>, TreeFault> {
    proof::consistency(&StoredTiles(connection), small, large)
}
