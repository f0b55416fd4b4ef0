//! JSON and protobuf's wire form, each written directly from the other.
//!
//! No message is built in between: a plan made once from the descriptors says, for each field, how to read it from JSON
//! and write it as wire bytes, and back. Batches of a thousand metrics and histories of a hundred thousand points pass
//! here, and building dynamic messages for them would cost several times as much.

mod plan;
mod print;
mod query;
mod read;
mod scalar;
mod text;
mod visit;
mod wire;
mod write;

#[cfg(test)]
mod spec;

pub use plan::{Form, Kind, Message, MessageId, Plans, Shape};
pub use read::{Accent, Fault, Reader};
pub use wire::{Corrupt, string_field, word_field};
pub use write::{Longs, write};
