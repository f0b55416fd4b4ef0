//! The one program: `cairn up` runs the whole suite in one process, and the command line for people talks to it through
//! the gateway.
//!
//! The only crate that names a backend: everything else is given one.

pub mod cli;
mod micro;
pub mod suite;
mod witness;
