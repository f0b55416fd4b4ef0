use cairn_kernel::{Code, Description, Fault};
use cairn_modelsig::{Difference, SIGNATURE_FILE, SignatureFault};

/// Why a version's signature keeps it from being registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("versions of this model must be signed, and {0}")]
    Missing(&'static str),
    #[error("versions of this model must be signed by a trusted key, and {SIGNATURE_FILE} is not: {problem}")]
    Untrusted { problem: String, fingerprint: String },
    #[error("{SIGNATURE_FILE} is no signature of these files: {0}")]
    Invalid(String),
    #[error("the files are not those that {SIGNATURE_FILE} was made over: {0}")]
    Mismatch(Difference),
}

impl From<SignatureFault> for Rejection {
    fn from(fault: SignatureFault) -> Self {
        match fault {
            SignatureFault::Files(difference) => Self::Mismatch(difference),
            fault => Self::Invalid(fault.to_string()),
        }
    }
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "registry.cairn";

    fn describe(&self) -> Description {
        let (reason, metadata) = match self {
            Self::Missing(problem) => ("MODEL_SIGNATURE_MISSING", vec![("problem", (*problem).to_owned())]),
            Self::Untrusted { problem, fingerprint } => {
                ("MODEL_SIGNATURE_UNTRUSTED", vec![("problem", problem.clone()), ("fingerprint", fingerprint.clone())])
            }
            Self::Invalid(problem) => ("MODEL_SIGNATURE_INVALID", vec![("problem", problem.clone())]),
            Self::Mismatch(difference) => ("MODEL_SIGNATURE_MISMATCH", mismatch(difference)),
        };
        (Code::FailedPrecondition, reason, metadata)
    }
}

/// The file, the digest that was signed and the one found; empty: none.
fn mismatch(difference: &Difference) -> Vec<(&'static str, String)> {
    let (path, expected, found) = match difference {
        Difference::Changed { path, signed, found } => (path, signed.as_str(), found.as_str()),
        Difference::Missing { path, signed } => (path, signed.as_str(), ""),
        Difference::Unsigned { path, found } => (path, "", found.as_str()),
    };
    vec![("path", path.clone()), ("expected", expected.to_owned()), ("found", found.to_owned())]
}
