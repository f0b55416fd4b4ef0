//! The log as a tree that proves itself.
//!
//! The view keeps an entry and a hash for every event; the signer signs size and root whenever the log has grown, after
//! holding them against what was signed before; proofs are read from the tiles.

mod entries;
mod entry;
mod files;
mod key_file;
mod organizations;
mod places;
mod projection;
mod proofs;
mod run;
mod secrets;
mod shares;
mod signed;
mod signer;
mod tiles;
mod witnesses;

pub use files::read_file;
pub use organizations::{Of, Whose};
pub use projection::Tree;
pub use proofs::{Proof, consistency, number_of, proofs_of};
pub use secrets::{Prepared, Secrets, SecretsFault, Signs};
pub use signed::{Signed, SignedCheckpoints, SignedFault};
pub use signer::{Signer, State, kept_size};
pub use tiles::TreeFault;
pub use witnesses::{Witness, WitnessFault, Witnesses};

/// Why the ledger has no proof for a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("no event at position {0} is in what the log proves (or it might not be for this caller to see)")]
    Event(u64),
    #[error("{0} has not begun, or there is no such organization")]
    Organization(String),
    #[error("the log has no file {0:?} under its newest checkpoint")]
    File(String),
    #[error("the log has grown, and its checkpoint is not signed yet")]
    Pending,
    #[error("the log is not what was signed before: nothing is signed over it")]
    Mismatch,
}

impl cairn_kernel::Fault for Unproven {
    const DOMAIN: &'static str = "ledger.cairn";

    fn describe(&self) -> cairn_kernel::Description {
        use cairn_kernel::Code::{FailedPrecondition, NotFound, Unavailable};
        match self {
            Self::Event(position) => (NotFound, "EVENT_NOT_PROVEN", vec![("position", position.to_string())]),
            Self::Organization(name) => (NotFound, "ORGANIZATION_LOG_NOT_FOUND", vec![("organization", name.clone())]),
            Self::File(path) => (NotFound, "LOG_FILE_NOT_FOUND", vec![("path", path.clone())]),
            Self::Pending => (Unavailable, "CHECKPOINT_PENDING", vec![]),
            Self::Mismatch => (FailedPrecondition, "LOG_MISMATCH", vec![]),
        }
    }
}
