//! What tests are made of: given / when / then for aggregates, a clock that stands still, a store that misbehaves.
//!
//! For tests only; nothing that ships depends on it.

pub mod account;
pub mod clickhouse;
mod faulty;
mod guarded;
pub mod nats;
pub mod postgres;
pub mod redis;
mod spec;

pub use cairn_kernel::SimClock;
pub use faulty::{Faults, FaultyStore};
pub use spec::{Given, Judged, given};
