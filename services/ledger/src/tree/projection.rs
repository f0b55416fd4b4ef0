use std::collections::HashSet;
use std::sync::Arc;

use cairn_contract::Contract;
use cairn_eventstore::{Filter, Recorded};
use cairn_projection::{Projection, ProjectionFault};
use cairn_tlog::Edge;
use rusqlite::Transaction;

use super::entries::{Keeper, size};
use super::organizations::Of;
use super::run::runs;
use super::secrets::Secrets;
use super::shares::Shares;
use super::tiles::{StoredTiles, TreeFault};

/// Every event of the log as an entry of a tree, in the order of positions; and of a tree of its organization, if it
/// happened to something of one.
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
    const NAME: &'static str = "ledger.tree.v4";

    // Entries stand alone until their bundle is full: what is kept depends on the log alone, not on how it came.
    // Tree 0 is that of the whole log. The others have tiles and places, and no entries of their own.
    const SCHEMA: &'static str = "
        CREATE TABLE bundle (
            number INTEGER PRIMARY KEY,
            position INTEGER NOT NULL UNIQUE,
            entries BLOB NOT NULL
        ) STRICT;
        CREATE TABLE entry (
            position INTEGER PRIMARY KEY,
            number INTEGER NOT NULL,
            bytes BLOB NOT NULL
        ) STRICT;
        CREATE TABLE tile (
            tree INTEGER NOT NULL,
            id INTEGER NOT NULL,
            hashes BLOB NOT NULL,
            PRIMARY KEY (tree, id)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE organization (
            tree INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            size INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE project (
            name TEXT PRIMARY KEY,
            tree INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE place (
            tree INTEGER NOT NULL,
            chunk INTEGER NOT NULL,
            position INTEGER NOT NULL,
            positions BLOB NOT NULL,
            PRIMARY KEY (tree, chunk),
            UNIQUE (tree, position)
        ) STRICT, WITHOUT ROWID;
    ";

    fn filter(&self) -> Filter {
        Filter::all()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let tiles = StoredTiles::new(tx, Of::LOG);
        let before = size(tx)?;
        let mut edge = Edge::of(&tiles, before).map_err(sql)?;
        let mut full = vec![];
        let mut keeper = Keeper::new(tx, before);
        let mut shares = Shares::new(tx);
        let kept: Vec<_> = events.iter().filter(|event| !self.trimmed.contains(event.stream.category())).collect();
        let mut rest = kept.as_slice();
        for run in runs(before, &kept, &self.secrets) {
            for (hash, owner) in run.hashes.iter().zip(&run.owners) {
                let Some((event, after)) = rest.split_first() else { break };
                edge.push(*hash, &mut full);
                shares.push(event, owner.as_deref(), *hash)?;
                rest = after;
            }
            keeper.push(&run)?;
        }
        tiles.keep_all(&full, &edge)?;
        shares.finish().map_err(sql)
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
