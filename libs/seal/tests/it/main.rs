//! Sealing as its users see it, over real files; and against a stand-in for Vault.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod sealing;
mod stand_in;
mod vault;
