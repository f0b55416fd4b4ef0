//! A log that proves itself: the tree of RFC 6962 and the formats of C2SP, so that others' tools verify it too.
//!
//! Entries are bytes. Their hashes are the leaves of a tree ([`Frontier`]), kept in tiles of 256 hashes ([`Tile`]), which grow at its [`Edge`]. A
//! [`Checkpoint`] says how large the tree is and what its root is, and is signed as a [`Note`]. From the tiles anybody
//! makes proofs ([`proof`]): that an entry is in a tree, and that a larger tree contains a smaller one. A [`Bundle`] is
//! such a proof with its checkpoint in one file, to be verified years later without asking anybody.
//!
//! Pure: reads no clock, no file and no network, and knows nothing of what an entry means.

mod bundle;
mod checkpoint;
mod edge;
mod hash;
mod key;
mod note;
pub mod proof;
mod tile;
mod tree;
pub mod witness;

#[cfg(test)]
mod spec;

pub use bundle::{Bundle, BundleFault};
pub use checkpoint::{Checkpoint, CheckpointFault};
pub use edge::Edge;
pub use hash::{Hash, HashFault};
pub use key::{KeyFault, KeyName, Kind, SigningKey, VerifyingKey};
pub use note::{Note, NoteFault, Signature};
pub use tile::{TILE_WIDTH, Tile, TileFault, Tiles};
pub use tree::Frontier;
