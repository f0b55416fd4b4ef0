//! Where calls come from. An address tells of a person for as long as the log is kept, so the log has it sealed under a key
//! of that person's, and forgetting the key forgets every address.

use std::time::Duration;

use cairn_kernel::{Code, Name};
use cairn_seal::{SealFault, Sealer};
use cairn_service::{Refusal, refuse};
use tonic::Status;

const PURPOSE: &str = "source_address";
/// When to ask again whoever keeps the keys.
const AGAIN: Duration = Duration::from_secs(5);

/// Seals and opens addresses.
#[derive(Clone)]
pub struct Sources {
    sealer: Sealer,
}

/// What has become of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Known(String),
    /// The key is gone.
    Forgotten,
}

impl Sources {
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }

    /// Seals an address for a principal.
    pub async fn seal(&self, principal: &Name, address: &str) -> Result<String, SealFault> {
        self.sealer.seal_text(principal, PURPOSE, address).await
    }

    /// Opens what the log has of an address.
    pub async fn open(&self, principal: &Name, recorded: &str) -> Result<Source, SealFault> {
        match self.sealer.open_text(principal, PURPOSE, recorded).await {
            Ok(address) => Ok(Source::Known(String::from_utf8_lossy(address.expose()).into_owned())),
            Err(SealFault::Forgotten) => Ok(Source::Forgotten),
            Err(fault) => Err(fault),
        }
    }

    /// Forgets every address of a principal.
    pub async fn forget(&self, principal: &Name) -> Result<(), SealFault> {
        self.sealer.forget(principal).await.map(drop)
    }
}

/// What is said when an address cannot be sealed or opened.
pub fn refusal(fault: SealFault) -> Status {
    refuse(match &fault {
        SealFault::Keeper(keeper) if keeper.is_passing() => {
            let message = "whoever keeps the key of keys does not answer";
            let refusal = Refusal::new(Code::Unavailable, "KEEPER_UNAVAILABLE", message).after(AGAIN);
            Refusal { cause: Some(fault.to_string().into()), ..refusal }
        }
        _ => Refusal::internal(fault),
    })
}
