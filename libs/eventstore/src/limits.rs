//! What one append may hold. The same on every backend, so that nothing works on one and fails on another.

use std::collections::HashSet;
use std::hash::Hash;

use crate::{AppendFault, Write};

/// Most streams in one append.
pub const APPEND_STREAMS_MAX: usize = 1024;
/// Most events in one append.
pub const APPEND_EVENTS_MAX: usize = 16_384;
/// Most bytes of payload and metadata in one append.
pub const APPEND_BYTES_MAX: usize = 32 << 20;
/// Most bytes of payload and metadata in one event.
pub const EVENT_BYTES_MAX: usize = 8 << 20;
/// Longest event type, in bytes.
pub const KIND_BYTES_MAX: usize = 256;

/// Refuses an append that could never succeed. Every backend asks before it queues.
pub fn check(writes: &[Write]) -> Result<(), AppendFault> {
    let refuse = |why: String| Err(AppendFault::Invalid(why));
    if writes.len() > APPEND_STREAMS_MAX {
        return refuse(format!("{} streams in one append, at most {APPEND_STREAMS_MAX}", writes.len()));
    }
    let events: usize = writes.iter().map(|write| write.events.len()).sum();
    if events > APPEND_EVENTS_MAX {
        return refuse(format!("{events} events in one append, at most {APPEND_EVENTS_MAX}"));
    }
    if let Some(stream) = twin(writes.iter().map(|write| &write.stream)) {
        return refuse(format!("stream {stream} appears twice in one append"));
    }
    let mut bytes = 0;
    for write in writes {
        for event in &write.events {
            let size = event.payload.len() + event.metadata.len();
            if size > EVENT_BYTES_MAX {
                return refuse(format!("event {} has {size} bytes, at most {EVENT_BYTES_MAX}", event.id));
            }
            if event.kind.is_empty() || event.kind.len() > KIND_BYTES_MAX {
                return refuse(format!("the type of event {} must have 1 to {KIND_BYTES_MAX} bytes", event.id));
            }
            bytes += size;
        }
        if let Some(id) = twin(write.events.iter().map(|event| event.id)) {
            return refuse(format!("event {id} appears twice in one append to {}", write.stream));
        }
    }
    if bytes > APPEND_BYTES_MAX {
        return refuse(format!("{bytes} bytes in one append, at most {APPEND_BYTES_MAX}"));
    }
    Ok(())
}

/// The first item that came before.
fn twin<T: Eq + Hash + Copy>(items: impl ExactSizeIterator<Item = T>) -> Option<T> {
    // Most appends have one stream and one event.
    if items.len() < 2 {
        return None;
    }
    let mut seen = HashSet::with_capacity(items.len());
    items.into_iter().find(|item| !seen.insert(*item))
}
