use std::collections::HashSet;
use std::sync::Arc;

use cairn_contract::Contract;
use cairn_eventstore::{Filter, Recorded};
use cairn_projection::{Projection, ProjectionFault};
use cairn_tlog::{Edge, Hash, TILE_WIDTH};
use rusqlite::{Transaction, params};

use super::entry::entry;
use super::secrets::Secrets;
use super::tiles::{StoredTiles, TreeFault, begins_bundle, size};

/// Every event of the log as an entry of a tree, in the order of positions.
///
/// Streams of which only the newest events are kept are left out: a tree over them could not be made again.
pub struct Tree {
    secrets: Arc<Secrets>,
    trimmed: HashSet<String>,
}

impl Tree {
    pub fn new(secrets: Arc<Secrets>, contract: &Contract) -> Self {
        let trimmed = contract.events().filter(|event| event.kept_max.is_some()).map(|event| event.category.clone());
        Self { secrets, trimmed: trimmed.collect() }
    }
}

impl Projection for Tree {
    const NAME: &'static str = "ledger.tree.v1";

    const SCHEMA: &'static str = "
        CREATE TABLE entry (
            position INTEGER PRIMARY KEY,
            number INTEGER NOT NULL,
            bytes BLOB NOT NULL
        ) STRICT;
        CREATE TABLE bundle (
            number INTEGER PRIMARY KEY,
            position INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE tile (
            id INTEGER PRIMARY KEY,
            hashes BLOB NOT NULL
        ) STRICT;
    ";

    fn filter(&self) -> Filter {
        Filter::all()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let tiles = StoredTiles(tx);
        let before = size(tx)?;
        let mut edge = Edge::of(&tiles, before).map_err(sql)?;
        let mut full = vec![];
        let mut keep = tx.prepare_cached("INSERT INTO entry (position, number, bytes) VALUES (?1, ?2, ?3)")?;
        let mut begin = tx.prepare_cached("INSERT INTO bundle (number, position) VALUES (?1, ?2)")?;
        let kept = events.iter().filter(|event| !self.trimmed.contains(event.stream.category()));
        for (number, event) in (before..).zip(kept) {
            let bytes = entry(event, &self.secrets.salt(event));
            edge.push(Hash::leaf(&bytes), &mut full);
            let position = event.position.0.cast_signed();
            keep.execute(params![position, number.cast_signed(), bytes])?;
            if begins_bundle(number) {
                begin.execute([(number / TILE_WIDTH).cast_signed(), position])?;
            }
        }
        for (tile, hashes) in &full {
            tiles.keep(tile, hashes)?;
        }
        for (tile, hashes) in edge.grown() {
            tiles.keep(&tile, hashes)?;
        }
        Ok(())
    }
}

fn sql(fault: TreeFault) -> ProjectionFault {
    match fault {
        TreeFault::Sql(fault) => fault.into(),
        TreeFault::Damaged(_) => rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(fault.to_string()),
        )
        .into(),
    }
}
