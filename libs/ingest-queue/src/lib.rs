//! A queue in front of the log: what came in is durable here before anybody is told so, and is carried into the log after.
//!
//! Names what a queue does, which an adapter does with an engine of its own ([`Queue`]); deals the partitions out to those
//! processes that are alive ([`Member`]); and says what every adapter has to keep ([`conformance`]). Knows nothing of runs,
//! metrics or the log.

pub mod conformance;
mod fault;
mod lease;
mod member;
mod partition;
mod queue;
mod table;

pub use fault::QueueFault;
pub use lease::Lease;
pub use member::{Held, Member};
pub use partition::partition_of;
pub use queue::{BURIED_MAX, Limits, Message, Queue, REPEAT_WINDOW, Standing};
pub use table::{Table, TableFault, Turn, agree};
