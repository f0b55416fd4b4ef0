//! The door over a socket, as clients of the protocol see it, on a log in memory.

mod batches;
mod following;
mod house;
mod reading;
mod rights;
mod writing;
