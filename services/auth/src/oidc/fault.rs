use cairn_kernel::Code;
use cairn_service::Refusal;

use super::verify::TokenFault;
use crate::model::IdentityProviderName;

/// Why a login by a provider comes to nothing.
///
/// For the log. Whoever logs in learns the few things that they, or whoever looks after the provider, can do something
/// about; of everything that may be an attack they hear one and the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    #[error("the browser did not begin this login, or began it too long ago")]
    NotBegun,
    #[error("the state is not that of the login that this browser began")]
    State,
    #[error("the browser began a login at another provider")]
    OtherProvider,
    #[error("the answer says that it is from another issuer")]
    AnsweringIssuer,
    #[error("the answer does not say which issuer it is from, though the provider says that it does")]
    NoAnsweringIssuer,
    #[error("the provider says {0:?}")]
    Refused(String),
    #[error("the answer has no code")]
    NoCode,
    #[error("the provider does not exchange the code: {0}")]
    Code(String),
    #[error("the provider gave no ID token")]
    NoToken,
    #[error("the ID token does not hold: {0}")]
    Token(#[from] TokenFault),
    #[error("the provider's user info is about somebody else")]
    OtherSubject,
    #[error("{0} cannot be logged in by: {1}")]
    Unavailable(IdentityProviderName, String),
    #[error("the claim {0:?} with the person's groups is missing, or is no list of names")]
    GroupsMissing(String),
    #[error("the claim {0:?} does not hold all of the person's groups")]
    GroupsTruncated(String),
    #[error("nobody has added the person here, and {0} does not add people")]
    NotAdmitted(IdentityProviderName),
    #[error("the user is disabled")]
    Disabled,
}

impl LoginFault {
    /// A label from a closed set, for the log and the metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotBegun => "not_begun",
            Self::State => "state",
            Self::OtherProvider => "other_provider",
            Self::AnsweringIssuer => "answering_issuer",
            Self::NoAnsweringIssuer => "no_answering_issuer",
            Self::Refused(_) => "refused_by_provider",
            Self::NoCode => "no_code",
            Self::Code(_) => "code",
            Self::NoToken => "no_token",
            Self::Token(fault) => fault.reason(),
            Self::OtherSubject => "other_subject",
            Self::Unavailable(..) => "unavailable",
            Self::GroupsMissing(_) => "groups_missing",
            Self::GroupsTruncated(_) => "groups_truncated",
            Self::NotAdmitted(_) => "not_admitted",
            Self::Disabled => "disabled",
        }
    }
}

impl From<LoginFault> for Refusal {
    fn from(fault: LoginFault) -> Self {
        let message = fault.to_string();
        match fault {
            LoginFault::GroupsMissing(_) | LoginFault::GroupsTruncated(_) => {
                Self::new(Code::PermissionDenied, "LOGIN_GROUPS_MISSING", message)
            }
            LoginFault::NotAdmitted(_) | LoginFault::Disabled => {
                Self::new(Code::PermissionDenied, "LOGIN_NOT_ADMITTED", message)
            }
            LoginFault::Unavailable(provider, _) => Self::new(
                Code::Unavailable,
                "IDENTITY_PROVIDER_UNAVAILABLE",
                format!("{provider} cannot be logged in by"),
            ),
            _ => Self::new(Code::Unauthenticated, "LOGIN_REFUSED", "the login did not succeed"),
        }
    }
}
