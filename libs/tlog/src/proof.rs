//! Proofs of RFC 6962 (section 2.1): making them from tiles, and verifying them as RFC 9162 says (sections 2.1.3.2 and
//! 2.1.4.2), without any tile.

use crate::tile::{TILE_HEIGHT, TILE_WIDTH, Tile, Tiles};
use crate::{Frontier, Hash};

/// No proof is longer: a tree has at most 2^64 leaves.
pub const HASHES_MAX: usize = 64;

/// Why a proof proves nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    #[error("entry {index} is not in a tree of {size} entries")]
    OutOfTree { index: u64, size: u64 },
    #[error("a tree of {large} entries cannot contain one of {small}")]
    Shrunk { small: u64, large: u64 },
    #[error("the proof has {found} hashes, and a tree of this size takes {expected}")]
    Length { found: usize, expected: usize },
    #[error("the proof leads to another root: what it is about is not in that tree")]
    OtherRoot,
    #[error("the larger tree does not contain the smaller one: history was changed")]
    NotContained,
}

/// The hashes beside the way from an entry to the root: that entry `index` is in the tree of `size` entries.
pub fn inclusion<T: Tiles>(tiles: &T, index: u64, size: u64) -> Result<Vec<Hash>, T::Fault> {
    debug_assert!(index < size, "the caller knows what is in the tree");
    let mut path = vec![];
    let (mut start, mut count) = (0, size);
    let mut beside = vec![];
    while count > 1 {
        let left = largest_power_below(count);
        if index - start < left {
            beside.push((start + left, count - left));
            count = left;
        } else {
            beside.push((start, left));
            (start, count) = (start + left, count - left);
        }
    }
    for (start, count) in beside.into_iter().rev() {
        path.push(subtree(tiles, size, start, count)?);
    }
    Ok(path)
}

/// The hashes that both trees have in common or that were added: that the tree of `large` entries begins with that of
/// `small`.
pub fn consistency<T: Tiles>(tiles: &T, small: u64, large: u64) -> Result<Vec<Hash>, T::Fault> {
    debug_assert!(small <= large, "the caller knows which is larger");
    if small == 0 || small == large {
        return Ok(vec![]);
    }
    let (mut start, mut count, mut is_whole) = (0, large, true);
    let mut beside = vec![];
    while small - start < count {
        let left = largest_power_below(count);
        if small - start <= left {
            beside.push((start + left, count - left));
            count = left;
        } else {
            beside.push((start, left));
            (start, count, is_whole) = (start + left, count - left, false);
        }
    }
    if !is_whole {
        beside.push((start, count));
    }
    beside.into_iter().rev().map(|(start, count)| subtree(tiles, large, start, count)).collect()
}

/// Whether an entry with this hash is at `index` of the tree of `size` entries with this root.
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, root: Hash, proof: &[Hash]) -> Result<(), ProofFault> {
    if index >= size {
        return Err(ProofFault::OutOfTree { index, size });
    }
    let (mut place, mut last) = (index, size - 1);
    let mut node = leaf;
    let mut hashes = proof.iter();
    let wrong_length = || ProofFault::Length { found: proof.len(), expected: inclusion_length(index, size) };
    while last > 0 {
        if place & 1 == 1 {
            node = Hash::node(*hashes.next().ok_or_else(wrong_length)?, node);
        } else if place < last {
            node = Hash::node(node, *hashes.next().ok_or_else(wrong_length)?);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if hashes.next().is_some() {
        return Err(wrong_length());
    }
    if node != root {
        return Err(ProofFault::OtherRoot);
    }
    Ok(())
}

/// Whether the tree with the second size and root begins with that of the first.
pub fn verify_consistency(small: (u64, Hash), large: (u64, Hash), proof: &[Hash]) -> Result<(), ProofFault> {
    let ((small, small_root), (large, large_root)) = (small, large);
    if small > large {
        return Err(ProofFault::Shrunk { small, large });
    }
    if small == 0 || small == large {
        let is_same = match small {
            0 => small_root == Hash::empty() && (large > 0 || large_root == Hash::empty()),
            _ => small_root == large_root,
        };
        return match (proof.is_empty(), is_same) {
            (false, _) => Err(ProofFault::Length { found: proof.len(), expected: 0 }),
            (true, false) => Err(ProofFault::NotContained),
            (true, true) => Ok(()),
        };
    }
    let expected = consistency_length(small, large);
    let mut hashes = proof.iter().copied();
    let mut next = || hashes.next().ok_or(ProofFault::Length { found: proof.len(), expected });
    let (mut place, mut last) = (small - 1, large - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    // A smaller tree that is perfect is itself the first hash of the way.
    let first = match small.is_power_of_two() {
        true => small_root,
        false => next()?,
    };
    let (mut old, mut new) = (first, first);
    while last > 0 {
        if place & 1 == 1 {
            let left = next()?;
            (old, new) = (Hash::node(left, old), Hash::node(left, new));
        } else if place < last {
            new = Hash::node(new, next()?);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if hashes.next().is_some() {
        return Err(ProofFault::Length { found: proof.len(), expected });
    }
    if old != small_root || new != large_root {
        return Err(ProofFault::NotContained);
    }
    Ok(())
}

/// How many hashes the proof of an entry has: one for each level where its way has a neighbour.
fn inclusion_length(index: u64, size: u64) -> usize {
    let (mut place, mut last, mut length) = (index, size - 1, 0);
    while last > 0 {
        length += usize::from(place & 1 == 1 || place < last);
        (place, last) = (place >> 1, last >> 1);
    }
    length
}

/// How many hashes the proof of a smaller tree has.
fn consistency_length(small: u64, large: u64) -> usize {
    let level = small.trailing_zeros();
    inclusion_length((small - 1) >> level, ((large - 1) >> level) + 1) + usize::from(!small.is_power_of_two())
}

/// The root over `count` entries from `start`, in the tree of `size` entries. `start` is a multiple of a power of two
/// that is not below `count`, as in every subtree of the tree.
pub(crate) fn subtree<T: Tiles>(tiles: &T, size: u64, start: u64, count: u64) -> Result<Hash, T::Fault> {
    if count.is_power_of_two() {
        return perfect(tiles, size, start, count.trailing_zeros() as u8);
    }
    let left = largest_power_below(count);
    let right = subtree(tiles, size, start + left, count - left)?;
    Ok(Hash::node(perfect(tiles, size, start, left.trailing_zeros() as u8)?, right))
}

/// The root over `2^height` entries: hashed up from the tile below it.
fn perfect<T: Tiles>(tiles: &T, size: u64, start: u64, height: u8) -> Result<Hash, T::Fault> {
    let (level, above) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
    let first = start >> (level * TILE_HEIGHT);
    let tile = Tile::holding(level, first, size).expect("the subtree lies within the tree");
    let hashes = tiles.tile(tile)?;
    let from = (first % TILE_WIDTH) as usize;
    Ok(Frontier::from_iter(hashes[from..from + (1 << above)].iter().copied()).root())
}

/// The size of the left subtree of a tree with more than one entry.
fn largest_power_below(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}
