//! OpenLineage (spec 2-0-2), as it comes in and as it goes out.

mod identity;
mod read;
mod story;

pub use read::{Limits, read};
pub use story::stories;

/// The namespace of what is Cairn's own: a job, run or dataset there is named by its resource name.
const NAMESPACE: &str = "cairn";
