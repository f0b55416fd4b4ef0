//! The chassis every process stands on: configuration, telemetry, health, shutdown, the guard in front of every
//! method, errors on the wire, and outgoing calls.
//!
//! Knows no service's domain. A service gives it routes and views ([`Mounted`]); it gives the service a caller that has
//! been identified and allowed ([`Ctx`]).

pub mod allowance;
pub mod config;
mod ctx;
pub mod entry;
pub mod guard;
pub mod health;
mod in_process;
mod moment;
mod mount;
mod network;
pub mod outgoing;
mod page;
pub mod past;
pub mod quota;
mod refusal;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
mod writer;

pub use cairn_kernel::settings;
pub use ctx::Ctx;
pub use in_process::{InProcess, Listening, accept};
pub use moment::timestamp;
pub use mount::{Deps, Mounted};
pub use network::network;
pub(crate) use network::network_of;
pub use page::Page;
pub use past::{AsOfReads, Then, moment_of};
pub use refusal::{Refusal, Reply, field, refuse};
pub use writer::{Checked, Writer};
