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
    /// The log for programs that speak KurrentDB's protocol.
    Eventstore,
    /// The door for everybody outside.
    Gateway,
}

impl Role {
    pub const ALL: [Self; 7] =
        [Self::Auth, Self::Config, Self::Experiments, Self::Registry, Self::Ledger, Self::Eventstore, Self::Gateway];

    /// Its name in the contract, in certificates and in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Config => "config",
            Self::Experiments => "experiments",
            Self::Registry => "registry",
            Self::Ledger => "ledger",
            Self::Eventstore => "eventstore",
            Self::Gateway => "gateway",
        }
    }

    /// Whether it is a door: what is behind it answers nobody's calls but its own.
    pub fn is_door(self) -> bool {
        matches!(self, Self::Eventstore | Self::Gateway)
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

    /// Whether this process is the suite, and there need be no other: an event store for programs is no part of every one.
    pub fn is_all(&self) -> bool {
        Role::ALL.into_iter().filter(|role| *role != Role::Eventstore).all(|role| self.has(role))
    }

    /// Whether it answers calls of a gateway that is another process.
    pub fn serve_others(&self) -> bool {
        !self.is_all() && self.0.iter().any(|role| !role.is_door())
    }

    /// What answers calls and runs somewhere else.
    pub fn elsewhere(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| !role.is_door() && !self.has(*role))
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
