//! Requests to addresses that people gave: never to where only the machine itself, its network or its cloud should reach,
//! never further than where they were sent, and never for longer or for more than was said.
//!
//! An address is judged after its name was resolved, and the connection goes to the very address that was judged, so that
//! a name which resolves otherwise the next time gains nothing. Knows nothing of who asks and why.

mod address;
mod allow;
mod fault;
mod resolver;
mod send;

pub use address::Address;
pub use allow::{Allowed, AllowedFault};
pub use fault::{AddressFault, SendFault};
pub use send::{Answer, Outbound};
