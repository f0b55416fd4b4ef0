//! What a process can be.

use std::collections::BTreeSet;
use std::fmt;

/// A part of the suite that can be a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Who there is and what they may do.
    Auth,
    /// Settings and secrets.
    Config,
    /// Experiments, runs and artifacts.
    Experiments,
    /// Models, promotions, functions.
    Registry,
    /// Audit, proofs and lineage.
    Ledger,
    /// The door for everybody outside.
    Gateway,
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Auth, Self::Config, Self::Experiments, Self::Registry, Self::Ledger, Self::Gateway];

    /// Its name in the contract, in certificates and in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Config => "config",
            Self::Experiments => "experiments",
            Self::Registry => "registry",
            Self::Ledger => "ledger",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The roles of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// The whole suite.
    pub fn all() -> Self {
        Self::from_iter(Role::ALL)
    }

    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether this process is the suite, and there is no other.
    pub fn is_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    /// Whether it answers calls of a gateway that is another process.
    pub fn serve_others(&self) -> bool {
        !self.is_all() && self.0.iter().any(|role| *role != Role::Gateway)
    }

    /// What answers calls and runs somewhere else.
    pub fn elsewhere(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| *role != Role::Gateway && !self.has(*role))
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|role| role.name()).collect()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}
