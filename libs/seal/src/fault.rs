use std::io;
use std::path::PathBuf;

use cairn_outbound::{AddressFault, SendFault};

/// Why something could not be sealed, opened or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum SealFault {
    #[error("the key of this was destroyed, and it opens for nobody")]
    Forgotten,
    #[error("this was not sealed here, or not for this")]
    Foreign,
    #[error("these are no sealed bytes")]
    Malformed,
    #[error(transparent)]
    Keeper(#[from] KeeperFault),
    #[error("the table of keys cannot be used: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("the table of keys cannot be made: {0}")]
    File(#[from] io::Error),
    #[error("the table of keys is closing")]
    Stopping,
}

/// Why a keeper did not give what it keeps.
#[derive(Debug, thiserror::Error)]
pub enum KeeperFault {
    #[error("the key file {path} cannot be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the key file {path} is not one of ours: {problem}")]
    Malformed { path: PathBuf, problem: String },
    #[error("the key file {path} can be read by others (mode {mode:o}): run chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "there is no key file {path}, and the table of keys beside the data holds keys that were wrapped with it: put the \
         file back from its backup"
    )]
    Lost { path: PathBuf },
    #[error("sealing.keys: key {at} is not the base64 of 32 bytes")]
    BadKey { at: usize },
    #[error("data keys are wrapped with {ids}, which this keeper does not have; give it back the keys it had")]
    Unknown { ids: String },
    #[error("a wrapped key does not open: it was changed, or belongs elsewhere")]
    Foreign,
    #[error("this keeper is given its keys from outside: put a new one in front of sealing.keys, and start again")]
    GivenFromOutside,
    #[error("the address of Vault: {0}")]
    Address(#[from] AddressFault),
    #[error("sealing.vault_reachable: {0}")]
    Reachable(String),
    #[error("Vault does not answer: {0}")]
    Unreachable(#[from] SendFault),
    #[error("Vault answers {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("what Vault answers cannot be read")]
    Unreadable,
}

impl KeeperFault {
    /// Whether the same may go well in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unreadable | Self::Io { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}
