use crate::Hash;
use crate::proof::subtree;
use crate::tile::Tiles;

/// The right edge of a tree: all that is needed to add entries and to know the root, at most 64 hashes however large
/// the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees that make up the tree, the largest first: one for each bit set in the size.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The edge of a tree of which the tiles are kept.
    pub fn of<T: Tiles>(tiles: &T, size: u64) -> Result<Self, T::Fault> {
        let mut peaks = vec![];
        let mut start = 0;
        for level in (0..u64::BITS as u8).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(subtree(tiles, size, start, 1 << level)?);
            start += 1 << level;
        }
        Ok(Self { size, peaks })
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of the next entry.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut level = 0;
        while self.size >> level & 1 == 1 {
            let left = self.peaks.pop().expect("there is a peak for each bit set in the size");
            node = Hash::node(left, node);
            level += 1;
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let peaks = self.peaks.iter().rev().copied();
        peaks.reduce(|right, left| Hash::node(left, right)).unwrap_or_else(Hash::empty)
    }
}

/// A tree over these hashes of entries.
impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}
