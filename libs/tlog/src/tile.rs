use std::fmt;
use std::str::FromStr;

use crate::Hash;

/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 256;
/// Levels of nodes that one tile spans.
pub(crate) const TILE_HEIGHT: u8 = 8;
/// No tree is higher: its size would not fit 64 bits.
const LEVEL_MAX: u8 = 63;

/// Names a stretch of neighbouring hashes of one tile level. Level 0 are leaves; each hash of a higher level is the root
/// of a full tile of the level below.
///
/// Printed as the path under which logs serve it (C2SP tlog-tiles): `tile/0/x001/234`, and `tile/1/000.p/7` for a tile
/// of 7 hashes that is not full yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    pub level: u8,
    pub number: u64,
    /// 1 to 256.
    pub width: u16,
}

/// Where tiles are kept.
pub trait Tiles {
    type Fault;

    /// The hashes of a tile: at least as many as its width says, and more where the tile has grown since.
    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Self::Fault>;
}

/// Why a text names no tile.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path of a tile, such as tile/0/x001/234 or tile/1/000.p/7")]
pub struct TileFault(String);

impl Tile {
    /// How many hashes a level of tiles has in a tree of this size.
    pub fn count_at(level: u8, size: u64) -> u64 {
        size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
    }

    /// The tile that has the hash with this number in its level, as wide as it is in a tree of this size. `None`: the
    /// tree has no such hash.
    pub fn holding(level: u8, hash: u64, size: u64) -> Option<Self> {
        let count = Self::count_at(level, size);
        let number = hash / TILE_WIDTH;
        let width = count.saturating_sub(number * TILE_WIDTH).min(TILE_WIDTH);
        (hash < count).then_some(Self { level, number, width: width as u16 })
    }

    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        let digits = format!("{:03}", self.number);
        let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
        for place in (0..padded.len() - 3).step_by(3) {
            write!(f, "x{}/", &padded[place..place + 3])?;
        }
        f.write_str(&padded[padded.len() - 3..])?;
        match self.is_full() {
            true => Ok(()),
            false => write!(f, ".p/{}", self.width),
        }
    }
}

impl FromStr for Tile {
    type Err = TileFault;

    fn from_str(text: &str) -> Result<Self, TileFault> {
        // What is printed again as it was read has no second spelling.
        parse(text).filter(|tile| tile.to_string() == text).ok_or_else(|| TileFault(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<Tile> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX)?;
    let (number, width) = match rest.split_once(".p/") {
        None => (rest, TILE_WIDTH as u16),
        Some((number, width)) => (number, width.parse().ok().filter(|width| (1..256).contains(width))?),
    };
    let mut value = 0_u64;
    for part in number.split('/') {
        let part = part.strip_prefix('x').unwrap_or(part);
        let part: u64 = part.parse().ok().filter(|_| part.len() == 3)?;
        value = value.checked_mul(1000)?.checked_add(part)?;
    }
    Some(Tile { level, number: value, width })
}
