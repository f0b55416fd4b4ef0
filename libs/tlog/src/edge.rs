use crate::tile::{TILE_WIDTH, Tile, Tiles};
use crate::{Frontier, Hash};

/// The last tile of each level: where a tree grows.
///
/// Whoever keeps tiles reads the edge, adds the hashes of a batch of entries, and writes the tiles that were filled and
/// those that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    levels: Vec<Open>,
}

/// A tile that is not full.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    number: u64,
    hashes: Vec<Hash>,
    has_grown: bool,
}

impl Edge {
    /// Reads the edge of a tree of this size.
    pub fn of<T: Tiles>(tiles: &T, size: u64) -> Result<Self, T::Fault> {
        let mut levels = vec![];
        for level in 0.. {
            let count = Tile::count_at(level, size);
            if count == 0 {
                break;
            }
            let (number, width) = (count / TILE_WIDTH, (count % TILE_WIDTH) as usize);
            let mut hashes = match width {
                0 => vec![],
                _ => tiles.tile(Tile { level, number, width: width as u16 })?,
            };
            hashes.truncate(width);
            levels.push(Open { number, hashes, has_grown: false });
        }
        Ok(Self { levels })
    }

    /// Adds the hash of the next entry. Tiles that it fills, one at each level at most, go to `full`.
    pub fn push(&mut self, leaf: Hash, full: &mut Vec<(Tile, Vec<Hash>)>) {
        let mut node = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Open { number: 0, hashes: vec![], has_grown: false });
            }
            let open = &mut self.levels[level];
            open.hashes.push(node);
            open.has_grown = true;
            if open.hashes.len() < TILE_WIDTH as usize {
                return;
            }
            let hashes = std::mem::take(&mut open.hashes);
            node = Frontier::from_iter(hashes.iter().copied()).root();
            full.push((Tile { level: level as u8, number: open.number, width: TILE_WIDTH as u16 }, hashes));
            (open.number, open.has_grown) = (open.number + 1, false);
        }
    }

    /// The tiles that have grown since the edge was read and are not full.
    pub fn grown(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        self.levels.iter().enumerate().filter(|(_, open)| open.has_grown).map(|(level, open)| {
            let tile = Tile { level: level as u8, number: open.number, width: open.hashes.len() as u16 };
            (tile, &*open.hashes)
        })
    }
}
