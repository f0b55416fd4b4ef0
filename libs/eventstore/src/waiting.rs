use std::collections::HashMap;

use cairn_kernel::StreamName;
use parking_lot::Mutex;

use crate::Snapshot;

/// Snapshots that wait until a backend has nothing better to do than to write them.
pub struct WaitingSnapshots {
    waiting: Mutex<Contents>,
    bytes_max: usize,
}

#[derive(Default)]
struct Contents {
    snapshots: HashMap<StreamName, Snapshot>,
    bytes: usize,
}

impl WaitingSnapshots {
    /// None yet, and room for `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        Self { waiting: Mutex::default(), bytes_max }
    }

    /// Adds a snapshot unless a newer one waits. `false`: there was no room.
    pub fn add(&self, stream: &StreamName, snapshot: Snapshot) -> bool {
        let mut waiting = self.waiting.lock();
        let earlier = waiting.snapshots.get(stream);
        if earlier.is_some_and(|earlier| earlier.revision > snapshot.revision) {
            return true;
        }
        let bytes = waiting.bytes + weight(stream, &snapshot) - earlier.map_or(0, |earlier| weight(stream, earlier));
        if bytes > self.bytes_max {
            return false;
        }
        waiting.bytes = bytes;
        waiting.snapshots.insert(stream.clone(), snapshot);
        true
    }

    /// The one that waits for a stream.
    pub fn get(&self, stream: &StreamName) -> Option<Snapshot> {
        self.waiting.lock().snapshots.get(stream).cloned()
    }

    /// Some to write now. They stay readable here until they are [done](Self::done).
    pub fn some(&self, count: usize) -> Vec<(StreamName, Snapshot)> {
        let waiting = self.waiting.lock();
        waiting.snapshots.iter().take(count).map(|(stream, snapshot)| (stream.clone(), snapshot.clone())).collect()
    }

    /// Forgets those that are written, unless newer ones took their place.
    pub fn done(&self, written: &[(StreamName, Snapshot)]) {
        let mut waiting = self.waiting.lock();
        for (stream, snapshot) in written {
            if waiting.snapshots.get(stream) == Some(snapshot) {
                waiting.snapshots.remove(stream);
                waiting.bytes -= weight(stream, snapshot);
            }
        }
    }

    /// Whether some should be written although the writer has better things to do, or they would be dropped.
    pub fn is_pressing(&self) -> bool {
        self.waiting.lock().bytes > self.bytes_max / 2
    }
}

fn weight(stream: &StreamName, snapshot: &Snapshot) -> usize {
    stream.as_str().len() + snapshot.schema.len() + snapshot.state.len() + 100
}
