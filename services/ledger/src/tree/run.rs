//! Entries in a row, made from events: most of the work of a tree that is built anew, and none of them needs another.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use cairn_eventstore::Recorded;
use cairn_kernel::Name;
use cairn_tlog::{Hash, TILE_WIDTH};

use super::entries::{compressed, pack};
use super::entry::write;
use super::secrets::Secrets;
use cairn_service::entry::resource;

/// Entries that follow each other, all of one bundle.
#[derive(Default)]
pub struct Run {
    /// Where their events stand in the log.
    pub positions: Vec<u64>,
    pub hashes: Vec<Hash>,
    /// Whose they are: what lies in an organization or a project.
    pub owners: Vec<Option<Arc<str>>>,
    /// The entries as a bundle's file has them.
    pub file: Vec<u8>,
    /// The file as it is stored, if it is that of a whole bundle.
    pub bundle: Option<Vec<u8>>,
}

impl Run {
    /// Of events, in the order of positions.
    fn of(events: &[&Arc<Recorded>], secrets: &Secrets) -> Self {
        let mut run = Self::default();
        for event in events {
            let metadata = event.metadata();
            let owner = run.shared(owner(&resource(event, &metadata)));
            run.push(event.position.0, owner, |file| write(event, &metadata, &secrets.salt(event), file));
        }
        run.closed()
    }

    /// Adds the entry that `write` writes.
    pub fn push(&mut self, position: u64, owner: Option<Arc<str>>, write: impl FnOnce(&mut Vec<u8>)) {
        self.hashes.push(Hash::leaf(pack(&mut self.file, write)));
        self.positions.push(position);
        self.owners.push(owner);
    }

    /// What nothing is added to any more.
    pub fn closed(mut self) -> Self {
        self.bundle = (self.len() == TILE_WIDTH).then(|| compressed(&self.file));
        self
    }

    pub fn len(&self) -> u64 {
        self.positions.len() as u64
    }

    /// A text that is often the same as the last one.
    fn shared(&self, text: Option<&str>) -> Option<Arc<str>> {
        let last = self.owners.last().cloned().flatten().filter(|last| Some(&**last) == text);
        last.or_else(|| text.map(Arc::from))
    }
}

/// The organization or project that a resource is, or lies in by its name.
fn owner(resource: &Name) -> Option<&str> {
    let (collection, rest) = resource.as_str().split_once('/')?;
    let id = rest.split('/').next().unwrap_or_default();
    matches!(collection, "organizations" | "projects").then(|| &resource.as_str()[..collection.len() + 1 + id.len()])
}

/// Makes the entries of a batch, in runs that end where a bundle does. `size`: how many there are before.
pub fn runs(size: u64, events: &[&Arc<Recorded>], secrets: &Secrets) -> Vec<Run> {
    let mut rest = events;
    let parts = widths(size, events.len()).map(|width| {
        let (part, after) = rest.split_at(width);
        rest = after;
        part
    });
    let parts: Vec<_> = parts.collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    if events.len() < SHARE_MIN * 2 || threads == 1 {
        return parts.into_iter().map(|part| Run::of(part, secrets)).collect();
    }
    thread::scope(|scope| {
        let share = |parts: &'_ [&'_ [&'_ Arc<Recorded>]]| parts.iter().map(|part| Run::of(part, secrets)).collect();
        let shares = parts.chunks(parts.len().div_ceil(threads));
        let shares: Vec<_> = shares.map(|parts| scope.spawn(move || -> Vec<Run> { share(parts) })).collect();
        shares.into_iter().flat_map(|share| share.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Fewer entries are not worth a thread.
const SHARE_MIN: usize = 512;

/// How many of the entries that come after `size` others go to each bundle.
pub fn widths(size: u64, count: usize) -> impl Iterator<Item = usize> {
    let mut room = (TILE_WIDTH - size % TILE_WIDTH) as usize;
    let mut left = count;
    std::iter::from_fn(move || {
        let width = left.min(std::mem::replace(&mut room, TILE_WIDTH as usize));
        left -= width;
        (width > 0).then_some(width)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_where_bundles_do() {
        let of = |size, count| widths(size, count).collect::<Vec<_>>();
        assert!(of(0, 0).is_empty());
        assert_eq!(of(0, 600), [256, 256, 88]);
        assert_eq!(of(255, 2), [1, 1]);
        assert_eq!(of(512, 256), [256]);
        assert_eq!(of(100, 100), [100]);
    }

    #[test]
    fn what_lies_in_an_organization_or_a_project_is_theirs() {
        let of = |name: &str| owner(&name.parse().unwrap()).map(ToOwned::to_owned);
        assert_eq!(of("projects/p/runs/r").as_deref(), Some("projects/p"));
        assert_eq!(of("organizations/o").as_deref(), Some("organizations/o"));
        assert_eq!(of("organizations/o/roles/r").as_deref(), Some("organizations/o"));
        assert_eq!(of("users/u/projects/p"), None);
        assert_eq!(owner(&Name::ROOT), None);
    }
}
