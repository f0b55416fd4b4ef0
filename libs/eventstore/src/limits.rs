//! What one append may hold. The same on every backend, so that nothing works on one and fails on another.

use std::collections::HashSet;

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
    let mut streams = HashSet::with_capacity(writes.len());
    let mut bytes = 0;
    for write in writes {
        if !streams.insert(&write.stream) {
            return refuse(format!("stream {} appears twice in one append", write.stream));
        }
        let mut ids = HashSet::with_capacity(write.events.len());
        for event in &write.events {
            let size = event.payload.len() + event.metadata.len();
            if size > EVENT_BYTES_MAX {
                return refuse(format!("event {} has {size} bytes, at most {EVENT_BYTES_MAX}", event.id));
            }
            if event.kind.is_empty() || event.kind.len() > KIND_BYTES_MAX {
                return refuse(format!("the type of event {} must have 1 to {KIND_BYTES_MAX} bytes", event.id));
            }
            if !ids.insert(event.id) {
                return refuse(format!("event {} appears twice in one append to {}", event.id, write.stream));
            }
            bytes += size;
        }
    }
    if bytes > APPEND_BYTES_MAX {
        return refuse(format!("{bytes} bytes in one append, at most {APPEND_BYTES_MAX}"));
    }
    Ok(())
}
