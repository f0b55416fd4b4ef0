use std::time::Duration;

/// Why nothing is sent to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    #[error("it is no address: {0}")]
    Malformed(String),
    #[error("its scheme is {0}, and only http and https are sent to")]
    Scheme(String),
    #[error("it names a user or a password: give a secret instead")]
    User,
    #[error("it has more than {0} characters")]
    Long(usize),
    #[error("{0} is a private address, and nothing private is reached unless it is allowed")]
    Private(String),
}

/// Why a request got no answer. Never says the address: that may hold a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    #[error("{0} leads to private addresses only, and nothing private is reached unless it is allowed")]
    Private(String),
    #[error("the name {0} does not resolve")]
    Unresolved(String),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("cannot be reached: {0}")]
    Unreachable(String),
}
