//! How this process is doing: checks that run at an interval, the worst of them, and who needs to know.

mod check;
mod component;
mod config;
mod damping;
mod disk;
mod memory;
mod monitor;
mod report;
mod storage;
mod views;

pub use self::check::HealthCheck;
pub use self::component::ComponentCheck;
pub use self::config::Config;
pub use self::disk::{DiskCheck, DiskThresholds};
pub use self::memory::MemoryCheck;
pub use self::monitor::Health;
pub use self::report::{ComponentHealth, Probe, Report, State};
pub use self::storage::StorageCheck;
pub use self::views::ViewsCheck;
