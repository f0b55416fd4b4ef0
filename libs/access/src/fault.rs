use cairn_kernel::{Code, Description, Fault, Position};

/// Why a credential was not accepted.
///
/// Outside, all that is said of a forged token is that it does not hold; which check it failed is for the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationFault {
    #[error("no credential was given")]
    Missing,
    #[error("the credential is not valid")]
    Invalid,
    #[error("the credential has expired")]
    Expired,
    #[error("the credential has been revoked")]
    Revoked,
    #[error("the token is meant for another audience")]
    Audience,
    #[error("the token is not signed with a key of ours")]
    Signature,
    #[error("the token names an algorithm that is not accepted")]
    Algorithm,
    #[error("access changes have not been heard of for too long")]
    Stale,
}

impl Fault for AuthenticationFault {
    const DOMAIN: &'static str = "access.cairn";

    fn describe(&self) -> Description {
        let (code, reason) = match self {
            Self::Missing => (Code::Unauthenticated, "CREDENTIAL_MISSING"),
            Self::Invalid => (Code::Unauthenticated, "CREDENTIAL_INVALID"),
            Self::Expired => (Code::Unauthenticated, "CREDENTIAL_EXPIRED"),
            Self::Revoked => (Code::Unauthenticated, "CREDENTIAL_REVOKED"),
            Self::Audience => (Code::Unauthenticated, "TOKEN_AUDIENCE"),
            Self::Signature => (Code::Unauthenticated, "TOKEN_SIGNATURE"),
            Self::Algorithm => (Code::Unauthenticated, "TOKEN_ALGORITHM"),
            Self::Stale => (Code::Unavailable, "POLICY_STALE"),
        };
        (code, reason, vec![])
    }
}

/// The replica did not reach a position in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access replica is at position {at}, not yet at {wanted}")]
pub struct Behind {
    pub at: Position,
    pub wanted: Position,
}

impl Fault for Behind {
    const DOMAIN: &'static str = "access.cairn";

    fn describe(&self) -> Description {
        let positions = vec![("at", self.at.to_string()), ("wanted", self.wanted.to_string())];
        (Code::Unavailable, "VIEW_BEHIND", positions)
    }
}
