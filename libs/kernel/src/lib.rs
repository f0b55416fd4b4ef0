//! The words every part of Cairn shares: ids, resource names, streams, positions, principals, faults, settings, and the
//! shape of an aggregate.
//!
//! Knows nothing of storage, transport, async or protobuf. The only outside thing here is [`SystemClock`], the one
//! place that reads the machine's time.

mod aggregate;
mod as_of;
mod fault;
mod metadata;
mod name;
mod newtype;
mod position;
mod principal;
mod secret;
mod settings;
mod stream;
mod time;

pub use aggregate::Aggregate;
pub use as_of::{AsOf, AsOfFault};
pub use fault::{Code, Description, Fault};
pub use metadata::Metadata;
pub use name::{NAME_BYTES_MAX, Name, NameFault, SEGMENT_BYTES_MAX};
pub use position::{Expected, Position, Revision};
pub use principal::{Principal, PrincipalKind};
pub use secret::Secret;
pub use settings::{Key, Section};
pub use stream::{Category, StreamFault, StreamName};
pub use time::{Clock, SimClock, SystemClock, Time};

#[doc(hidden)]
pub use uuid;
