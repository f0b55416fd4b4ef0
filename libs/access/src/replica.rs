use cairn_kernel::{Name, Principal};

use crate::{Decision, Reach};

/// Why a credential was not accepted.
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
    #[error("access changes have not been heard of for too long")]
    Stale,
}

/// The live replica of auth's events.
pub struct Access {}

impl Access {
    /// Turns an API key or an access token of ours into the principal it stands for.
    pub fn authenticate(&self, _credential: &str) -> Result<Principal, AuthenticationFault> {
        unimplemented!()
    }

    /// Signs a principal for the services behind the gateway: a JWT of type `cairn-principal+jwt`, valid 60 seconds.
    pub fn sign(&self, _principal: &Principal) -> Result<String, AuthenticationFault> {
        unimplemented!()
    }

    /// Reads what [`Access::sign`] wrote, here or in another process.
    pub fn verify(&self, _token: &str) -> Result<Principal, AuthenticationFault> {
        unimplemented!()
    }

    /// Decides. Pure, total, no IO.
    pub fn decide(&self, _principal: &Principal, _permission: &str, _resource: &Name, _reach: Reach) -> Decision {
        unimplemented!()
    }

    /// The prefixes at or below `under` on which the principal holds the permission: what a list may show.
    pub fn visible(&self, _principal: &Principal, _permission: &str, _under: &Name) -> Vec<Name> {
        unimplemented!()
    }
}
