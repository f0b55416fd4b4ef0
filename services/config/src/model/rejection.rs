use cairn_kernel::{Code, Description, Fault};

use super::{EnvironmentName, Key, SecretName};

/// Why a command was refused: always the caller's to fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no environment {0}")]
    EnvironmentNotFound(EnvironmentName),
    #[error("there is an environment {0} already")]
    EnvironmentExists(EnvironmentName),
    #[error("{by} inherits from {environment}")]
    EnvironmentInUse { environment: EnvironmentName, by: EnvironmentName },
    #[error("{environment} says nothing about {key}")]
    EntryNotFound { environment: EnvironmentName, key: Key },
    #[error("the value of {key} does not fit its schema: {problem}")]
    ValueInvalid { key: Key, problem: String },
    #[error("the schema of {key} is none: {problem}")]
    SchemaInvalid { key: Key, problem: String },
    #[error("{0} has no schema")]
    SchemaNotFound(Key),
    #[error("the value of {key} in {environment} does not fit: {problem}")]
    SchemaUnmet { key: Key, environment: EnvironmentName, problem: String },
    #[error("{environment} has no revision {revision}")]
    RevisionNotFound { environment: EnvironmentName, revision: u32 },
    #[error("{what} may be {limit} at most")]
    TooLarge { what: &'static str, limit: usize },
    #[error("{0:?} refers to no secret of the same project")]
    ReferenceInvalid(String),
    #[error("{environment} is at revision {revision} by now")]
    EnvironmentStale { environment: EnvironmentName, revision: u32 },
    #[error("there is no secret {0}")]
    SecretNotFound(SecretName),
    #[error("there is a secret {0} already")]
    SecretExists(SecretName),
    #[error("{secret} has no version {version}")]
    VersionNotFound { secret: SecretName, version: u32 },
    #[error("{0} has no version that is enabled")]
    NothingEnabled(SecretName),
    #[error("version {version} of {secret} is disabled")]
    VersionDisabled { secret: SecretName, version: u32 },
    #[error("version {version} of {secret} is destroyed, for ever")]
    VersionDestroyed { secret: SecretName, version: u32 },
    #[error("{secret} has {limit} versions, as many as there may be")]
    SecretFull { secret: SecretName, limit: u32 },
    #[error("{secret} has {last} versions by now")]
    VersionAhead { secret: SecretName, last: u32 },
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "config.cairn";

    fn describe(&self) -> Description {
        use Code::{Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted};
        let with = |key: &'static str, value: &dyn ToString| vec![(key, value.to_string())];
        let version =
            |secret: &SecretName, version: &u32| vec![("secret", secret.to_string()), ("version", version.to_string())];
        match self {
            Self::EnvironmentNotFound(name) => (NotFound, "ENVIRONMENT_NOT_FOUND", with("environment", name)),
            Self::EnvironmentExists(name) => (AlreadyExists, "ENVIRONMENT_EXISTS", with("environment", name)),
            Self::EnvironmentInUse { environment, by } => {
                let values = vec![("environment", environment.to_string()), ("by", by.to_string())];
                (FailedPrecondition, "ENVIRONMENT_IN_USE", values)
            }
            Self::EntryNotFound { environment, key } => {
                let values = vec![("environment", environment.to_string()), ("key", key.to_string())];
                (NotFound, "CONFIG_ENTRY_NOT_FOUND", values)
            }
            Self::ValueInvalid { key, problem } => {
                let values = vec![("key", key.to_string()), ("problem", problem.clone())];
                (InvalidArgument, "CONFIG_VALUE_INVALID", values)
            }
            Self::SchemaInvalid { key, problem } => {
                let values = vec![("key", key.to_string()), ("problem", problem.clone())];
                (InvalidArgument, "CONFIG_SCHEMA_INVALID", values)
            }
            Self::SchemaNotFound(key) => (NotFound, "CONFIG_SCHEMA_NOT_FOUND", with("key", key)),
            Self::SchemaUnmet { key, environment, problem } => {
                let mut values = vec![("key", key.to_string()), ("environment", environment.to_string())];
                values.push(("problem", problem.clone()));
                (FailedPrecondition, "CONFIG_SCHEMA_UNMET", values)
            }
            Self::RevisionNotFound { environment, revision } => {
                let values = vec![("environment", environment.to_string()), ("revision", revision.to_string())];
                (NotFound, "CONFIG_REVISION_NOT_FOUND", values)
            }
            Self::TooLarge { what, limit } => (
                ResourceExhausted,
                "CONFIG_TOO_LARGE",
                vec![("what", (*what).to_owned()), ("limit", limit.to_string())],
            ),
            Self::ReferenceInvalid(text) => (InvalidArgument, "SECRET_REFERENCE_INVALID", with("reference", text)),
            Self::EnvironmentStale { environment, revision } => {
                let values = vec![("environment", environment.to_string()), ("revision", revision.to_string())];
                (Aborted, "ETAG_MISMATCH", values)
            }
            Self::SecretNotFound(name) => (NotFound, "SECRET_NOT_FOUND", with("secret", name)),
            Self::SecretExists(name) => (AlreadyExists, "SECRET_EXISTS", with("secret", name)),
            Self::VersionNotFound { secret, version: number } => {
                (NotFound, "SECRET_VERSION_NOT_FOUND", version(secret, number))
            }
            Self::NothingEnabled(secret) => (NotFound, "SECRET_VERSION_NOT_FOUND", with("secret", secret)),
            Self::VersionDisabled { secret, version: number } => {
                (FailedPrecondition, "SECRET_VERSION_DISABLED", version(secret, number))
            }
            Self::VersionDestroyed { secret, version: number } => {
                (FailedPrecondition, "SECRET_VERSION_DESTROYED", version(secret, number))
            }
            Self::SecretFull { secret, limit } => {
                (ResourceExhausted, "SECRET_FULL", vec![("secret", secret.to_string()), ("limit", limit.to_string())])
            }
            Self::VersionAhead { secret, last } => {
                (Aborted, "SECRET_VERSION_AHEAD", vec![("secret", secret.to_string()), ("last", last.to_string())])
            }
        }
    }
}
