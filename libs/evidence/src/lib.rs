//! Evidence of one promotion in one file: every event that it rests on, each proven under one signed checkpoint, and the
//! story that follows from them.
//!
//! Nothing in the file has to be believed. The events are held against the checkpoint, the checkpoint against a key that
//! the reader has from before, and the story is made again from the events and must be the one that is written. A stream
//! is there from its first event and without gaps, so that nothing in between can be left out.
//!
//! Pure: reads no clock, no file and no network.

mod event;
mod pack;
#[cfg(test)]
mod spec;
mod story;

pub use event::Event;
pub use pack::{Pack, PackFault, Proven, Verified};
pub use story::{Approval, Artifact, Dataset, Finding, Promotion, Run, Story, StoryFault, Version};
