//! What the exit code says, so that scripts need not read the message.

use cairn_client::Fault;

/// The work was done.
pub const DONE: u8 = 0;
/// The server refused, or something failed.
pub const FAILED: u8 = 1;
/// The command line was wrong. (clap's own choice.)
pub const USAGE: u8 = 2;
/// The server could not be reached.
pub const UNREACHABLE: u8 = 3;
/// What was named does not exist.
pub const NOT_FOUND: u8 = 4;
/// The credential is missing, bad, or does not allow it.
pub const DENIED: u8 = 5;

/// Shown under `cairn --help`.
pub const HELP: &str = "Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 server unreachable, \
                        4 not found, 5 not allowed or not logged in.";

/// The code for an error.
pub fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Fault>() {
        Some(Fault::Unreachable { .. }) => UNREACHABLE,
        Some(Fault::Invalid(_)) => USAGE,
        Some(Fault::Refused { status: 404, .. }) => NOT_FOUND,
        Some(Fault::Refused { status: 401 | 403, .. }) => DENIED,
        _ => FAILED,
    }
}
