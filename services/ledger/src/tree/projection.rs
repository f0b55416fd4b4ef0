use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use cairn_contract::Contract;
use cairn_eventstore::{Filter, Recorded};
use cairn_kernel::Name;
use cairn_projection::{Projection, ProjectionFault};
use cairn_tlog::{Edge, Hash};
use rusqlite::Transaction;

use super::entries::{Keeper, size};
use super::entry::entry;
use super::organizations::Of;
use super::secrets::Secrets;
use super::shares::Shares;
use super::tiles::{StoredTiles, TreeFault};
use crate::entry::resource;

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

    fn leaf(&self, event: &Recorded) -> Leaf {
        let metadata = event.metadata();
        let entry = entry(event, &metadata, &self.secrets.salt(event));
        Leaf { position: event.position.0, hash: Hash::leaf(&entry), entry, resource: resource(event, metadata) }
    }

    /// The leaves of a batch. Making them is most of the work of a tree that is built anew, and no leaf needs another.
    fn leaves(&self, events: &[&Arc<Recorded>]) -> Vec<Leaf> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = events.len().div_ceil(threads).max(SHARE_MIN);
        if events.len() <= share {
            return events.iter().map(|event| self.leaf(event)).collect();
        }
        thread::scope(|scope| {
            let part = |part: &'_ [&'_ Arc<Recorded>]| part.iter().map(|event| self.leaf(event)).collect::<Vec<_>>();
            let parts: Vec<_> = events.chunks(share).map(|events| scope.spawn(move || part(events))).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    }
}

/// Fewer leaves are not worth a thread.
const SHARE_MIN: usize = 512;

/// What the tree holds of an event.
struct Leaf {
    position: u64,
    entry: Vec<u8>,
    hash: Hash,
    /// What it happened to.
    resource: Name,
}

impl Projection for Tree {
    const NAME: &'static str = "ledger.tree.v3";

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
        for (event, leaf) in kept.iter().zip(self.leaves(&kept)) {
            edge.push(leaf.hash, &mut full);
            shares.push(event, &leaf.resource, leaf.hash)?;
            keeper.push(leaf.position, leaf.entry)?;
        }
        keeper.finish()?;
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
