use cairn_kernel::{Code, Description, Fault};

use super::{FunctionName, VersionId};

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("no such function in this project")]
    NotFound,
    #[error("function {0} exists already")]
    Exists(FunctionName),
    #[error("the patch cannot be carried out: {0}")]
    Patch(String),
    #[error("version {version} of {function} was published with other contents, and what is published never changes")]
    VersionExists { function: FunctionName, version: VersionId },
    #[error("{function} has {limit} versions, and takes no more")]
    Full { function: FunctionName, limit: usize },
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "registry.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::NotFound => (Code::NotFound, "FUNCTION_NOT_FOUND", vec![]),
            Self::Exists(name) => (Code::AlreadyExists, "FUNCTION_EXISTS", vec![("function", name.to_string())]),
            Self::Patch(problem) => {
                (Code::InvalidArgument, "FUNCTION_PATCH_INVALID", vec![("problem", problem.clone())])
            }
            Self::VersionExists { function, version } => {
                let values = vec![("function", function.to_string()), ("version", version.to_string())];
                (Code::AlreadyExists, "FUNCTION_VERSION_EXISTS", values)
            }
            Self::Full { function, limit } => {
                let values = vec![("function", function.to_string()), ("limit", limit.to_string())];
                (Code::ResourceExhausted, "FUNCTION_FULL", values)
            }
        }
    }
}
