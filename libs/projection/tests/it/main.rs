//! Views over a log in memory: they follow, survive, set poison aside, and can be rebuilt.

mod follow;
mod support;
