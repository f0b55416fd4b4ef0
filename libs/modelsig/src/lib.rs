//! Signatures over the files of a model, in the format of OpenSSF Model Signing: a Sigstore bundle whose DSSE envelope
//! holds an in-toto statement that names each file with its digest.
//!
//! Verifies what was made with an elliptic curve key. What was made with a certificate is read and compared, but nobody
//! is believed for it: whom to believe would be a policy on identities, which keys are not. Deliberately knows neither
//! where files are nor who trusts which key.

mod bundle;
mod key;
#[cfg(test)]
mod spec;
mod statement;

pub use bundle::{Bundle, Verdict};
pub use key::{KeyFault, PublicKey};
pub use statement::{Difference, SIGNATURE_FILE};

/// Why a signature is none of these files.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    #[error("it cannot be read: {0}")]
    Malformed(String),
    #[error("it says that key {fingerprint} made it, and that key did not: it or what it signs was changed")]
    Wrong { fingerprint: String },
    #[error(transparent)]
    Files(#[from] Difference),
}
