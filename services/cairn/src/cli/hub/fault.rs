use crate::cli::exit::{DENIED, FAILED, NOT_FOUND, UNREACHABLE};

/// Why a hub did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum HubFault {
    #[error("the hub {hub} does not accept the token: {problem}")]
    Unauthorized { hub: String, problem: String },
    #[error("no hub is called {0:?} here: `cairn hub add` sets one up, `cairn hub remotes` lists those there are")]
    Unknown(String),
    #[error("the hub {hub} cannot be used: {problem}")]
    Unavailable { hub: String, problem: String },
    #[error("the package is refused: {0}")]
    Refused(String),
    #[error("{hub} has no {what}")]
    NotFound { hub: String, what: String },
    #[error("version {version} of {function} was published with other contents, and what is published never changes")]
    VersionExists { function: String, version: String },
}

impl HubFault {
    /// As `docs/errors.md` lists it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "HUB_UNAUTHORIZED",
            Self::Unknown(_) => "HUB_UNKNOWN",
            Self::Unavailable { .. } => "HUB_UNAVAILABLE",
            Self::Refused(_) => "HUB_PACKAGE_REFUSED",
            Self::NotFound { .. } => "FUNCTION_VERSION_NOT_FOUND",
            Self::VersionExists { .. } => "FUNCTION_VERSION_EXISTS",
        }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unauthorized { .. } => DENIED,
            Self::Unknown(_) | Self::NotFound { .. } => NOT_FOUND,
            Self::Unavailable { .. } => UNREACHABLE,
            Self::Refused(_) | Self::VersionExists { .. } => FAILED,
        }
    }
}
