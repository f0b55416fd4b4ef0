use cairn_kernel::Time;

use super::project::Tags;

/// What must be so for a binding to hold. Whatever is empty is no condition; one without any is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Within any of these.
    pub windows: Vec<Window>,
    /// From any of these networks, as `address/bits`.
    pub source_networks: Vec<String>,
    /// In a project that is tagged so, each of them.
    pub project_tags: Tags,
    /// Not before.
    pub start_time: Option<Time>,
}

/// Hours of days, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Days of the week, 1 for Monday to 7 for Sunday. Empty: every day.
    pub days: Vec<u8>,
    /// Minute of the day that it begins with.
    pub start: u16,
    /// Minute of the day that it ends before; of the next day if that is not later than the start.
    pub end: u16,
}

impl Condition {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
