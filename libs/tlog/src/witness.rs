//! What passes between a log and its witnesses (C2SP tlog-witness): whoever remembers the newest checkpoint of a log, and
//! vouches only for one that contains it.

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::{Checkpoint, CheckpointFault, decimal};
use crate::hash::{Hash, HashFault};
use crate::key::{Kind, VerifyingKey};
use crate::note::{Note, NoteFault};
use crate::proof::{ProofFault, verify_consistency};

/// More lines of proof are refused.
const HASHES_MAX: usize = 63;

/// A checkpoint offered to a witness: the body of `add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The size that the witness vouched for last, as the log knows it.
    pub old_size: u64,
    /// That the checkpoint contains what was vouched for.
    pub proof: Vec<Hash>,
    pub checkpoint: Note,
}

/// What a witness remembers of a log.
pub type Known = (u64, Hash);

/// Why a text is no offer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferFault {
    #[error("not an offer of a checkpoint: {0}")]
    Malformed(&'static str),
    #[error("a hash of the proof is {0}")]
    Hash(#[from] HashFault),
    #[error(transparent)]
    Note(#[from] NoteFault),
}

/// Why a witness does not vouch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("not a checkpoint: {0}")]
    Malformed(#[from] CheckpointFault),
    #[error("the log {0:?} is not known here")]
    UnknownLog(String),
    #[error("the checkpoint is not signed by its log: {0}")]
    NotSigned(NoteFault),
    #[error("the old size, {old}, is larger than the checkpoint's, {new}")]
    Backwards { old: u64, new: u64 },
    /// The log's idea of what was vouched for is not ours, or another tree of the same size was.
    #[error("a tree of {0} entries was vouched for last")]
    Conflict(u64),
    #[error(transparent)]
    NotContained(ProofFault),
}

impl Offer {
    /// Who offers it, before anything is believed.
    pub fn origin(&self) -> &str {
        self.checkpoint.text.lines().next().unwrap_or_default()
    }

    /// What to remember and to vouch for, if the log signed it and it contains what is known. A log signs with a key of
    /// its own name.
    pub fn judge(&self, logs: &[VerifyingKey], known: Option<Known>) -> Result<Checkpoint, Refusal> {
        let origin = self.origin();
        let is_of_log = |key: &&VerifyingKey| key.kind == Kind::Log && key.name.to_string() == origin;
        let keys: Vec<VerifyingKey> = logs.iter().filter(is_of_log).cloned().collect();
        if keys.is_empty() {
            return Err(Refusal::UnknownLog(origin.chars().take(200).collect()));
        }
        self.checkpoint.verify(&keys).map_err(Refusal::NotSigned)?;
        let checkpoint: Checkpoint = self.checkpoint.text.parse()?;
        let (known_size, known_root) = known.unwrap_or((0, Hash::empty()));
        if self.old_size > checkpoint.size {
            return Err(Refusal::Backwards { old: self.old_size, new: checkpoint.size });
        }
        let is_other_tree = known_size == checkpoint.size && known_root != checkpoint.root;
        if self.old_size != known_size || is_other_tree {
            return Err(Refusal::Conflict(known_size));
        }
        let (old, new) = ((known_size, known_root), (checkpoint.size, checkpoint.root));
        verify_consistency(old, new, &self.proof).map_err(Refusal::NotContained)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Offer {
    type Err = OfferFault;

    fn from_str(text: &str) -> Result<Self, OfferFault> {
        let malformed = OfferFault::Malformed;
        let (above, checkpoint) = text.split_once("\n\n").ok_or(malformed("there is no checkpoint"))?;
        let mut lines = above.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old_size = old_size.ok_or(malformed("its first line is not the old size"))?;
        let proof = lines.map(str::parse).collect::<Result<Vec<Hash>, _>>()?;
        if proof.len() > HASHES_MAX {
            return Err(malformed("its proof has more than 63 hashes"));
        }
        Ok(Self { old_size, proof, checkpoint: checkpoint.parse()? })
    }
}
