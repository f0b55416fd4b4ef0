use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, CheckpointFault, decimal};
use crate::hash::{Hash, HashFault};
use crate::key::{Kind, VerifyingKey};
use crate::note::{Note, NoteFault};
use crate::proof::{self, ProofFault};

/// What the first line says.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Larger extra data is refused.
const EXTRA_BYTES_MAX: usize = 1 << 20;

/// That an entry is in a log: proof and checkpoint in one file, `.tlog-proof` (C2SP tlog-proof).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Anything the maker put in. Nobody vouches for it.
    pub extra: Option<Vec<u8>>,
    /// The entry's place in the log, from 0.
    pub index: u64,
    pub hashes: Vec<Hash>,
    pub checkpoint: Note,
}

/// Why a file proves nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleFault {
    #[error("not a proof: {0}")]
    Malformed(&'static str),
    #[error("a hash of the proof is {0}")]
    Hash(#[from] HashFault),
    #[error(transparent)]
    Note(#[from] NoteFault),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointFault),
    #[error(transparent)]
    Proof(#[from] ProofFault),
    #[error("the log itself did not sign the checkpoint, only a witness did")]
    NotSignedByLog,
}

impl Bundle {
    /// The checkpoint under which the entry is proven to be in the log, if one of the log's keys signed it.
    pub fn verify(&self, entry: &[u8], keys: &[VerifyingKey]) -> Result<Checkpoint, BundleFault> {
        let signers = self.checkpoint.verify(keys)?;
        if !signers.iter().any(|key| key.kind == Kind::Log) {
            return Err(BundleFault::NotSignedByLog);
        }
        let checkpoint: Checkpoint = self.checkpoint.text.parse()?;
        proof::verify_inclusion(Hash::leaf(entry), self.index, checkpoint.size, checkpoint.root, &self.hashes)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Bundle {
    type Err = BundleFault;

    fn from_str(text: &str) -> Result<Self, BundleFault> {
        let malformed = BundleFault::Malformed;
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(malformed("there is no checkpoint"))?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            None => None,
            Some(line) if line.len() > EXTRA_BYTES_MAX => return Err(malformed("its extra data is too large")),
            Some(line) => Some(STANDARD.decode(&line[6..]).map_err(|_| malformed("its extra data is not base64"))?),
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(malformed("it does not say where in the log the entry is"))?;
        let hashes = lines.map(str::parse).collect::<Result<Vec<Hash>, _>>()?;
        if hashes.len() > proof::HASHES_MAX {
            return Err(malformed("no tree is so high"));
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.parse()? })
    }
}
