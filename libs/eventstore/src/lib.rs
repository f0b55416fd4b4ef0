//! The log: what an event store promises, the memory backend, the conformance suite, and command execution.
//!
//! Knows streams, revisions and positions. Payloads are bytes to it: it knows no event of any service, no protobuf and
//! no transport. Everything that must hold for every backend is written once, in [`conformance`].

mod carried;
mod commands;
pub mod conformance;
mod event;
mod fault;
mod filter;
pub mod limits;
mod log;
mod memory;
mod moment;
mod ring;
mod store;
mod subscription;
mod waiting;

pub use carried::{Carried, check_next};
pub use commands::{ATTEMPTS_MAX, CommandFault, Commands, Done, Loaded, Order, RequestKey, Stored, Work};
pub use event::{NewEvent, Recorded};
pub use fault::{AppendFault, DecodeFault, ReadFault};
pub use filter::Filter;
pub use log::Log;
pub use memory::Memory;
pub use moment::{Moment, moment};
pub use ring::{Fresh, Ring};
pub use store::{Appended, Appending, Direction, EventStore, Page, Retention, Snapshot, Write};
pub use subscription::{Message, Subscription};
pub use waiting::WaitingSnapshots;
