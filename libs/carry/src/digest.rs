use cairn_eventstore::{Carried, ReadFault, Recorded};
use cairn_kernel::Position;
use cairn_tlog::{Frontier, Hash};

use crate::carrying::Progress;
use crate::comparison::Walk;

/// Events between two words about progress.
pub(crate) const TELL_EACH: u64 = 10_000;

/// What a log holds, in one line: two logs with the same root hold the same events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    pub events: u64,
    /// Position of the last one.
    pub end: Position,
    /// Root of the Merkle tree (RFC 6962) over all events in their order.
    pub root: Hash,
}

/// Reads a whole log and says what it holds.
pub async fn digest(log: &dyn Carried, mut tell: impl FnMut(Progress)) -> Result<Digest, ReadFault> {
    let (end, mut walk, mut digesting) = (log.end().await?, Walk::new(log), Digesting::default());
    while let Some(event) = walk.next().await? {
        digesting.add(&event);
        if event.position.0.is_multiple_of(TELL_EACH) {
            tell(Progress { reached: event.position, end });
        }
    }
    Ok(digesting.done())
}

#[derive(Default)]
pub(crate) struct Digesting {
    tree: Frontier,
    end: Position,
    leaf: Vec<u8>,
}

impl Digesting {
    pub(crate) fn add(&mut self, event: &Recorded) {
        let Recorded { id, stream, kind, revision, position, time, payload, metadata } = event;
        self.leaf.clear();
        self.leaf.extend_from_slice(&position.0.to_be_bytes());
        self.leaf.extend_from_slice(&revision.0.to_be_bytes());
        self.leaf.extend_from_slice(&time.micros().to_be_bytes());
        self.leaf.extend_from_slice(id.as_bytes());
        // Each with its length, so that no two events read the same.
        for part in [stream.as_str().as_bytes(), kind.as_bytes(), metadata, payload] {
            self.leaf.extend_from_slice(&(part.len() as u64).to_be_bytes());
            self.leaf.extend_from_slice(part);
        }
        self.tree.push(Hash::leaf(&self.leaf));
        self.end = *position;
    }

    pub(crate) fn done(self) -> Digest {
        Digest { events: self.tree.size(), end: self.end, root: self.tree.root() }
    }
}
