//! Journeys through the public door, contract coverage, crashes, and the shape of the code itself. Everything is under
//! `tests/it`; there is one binary, because each costs a link. Here is what fuzzers call as well.

pub mod fuzzed;
