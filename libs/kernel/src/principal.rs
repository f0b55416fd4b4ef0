use std::fmt;

use serde::{Deserialize, Serialize};

/// What sort of caller a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program with an identity of its own.
    ServiceAccount,
    /// A part of Cairn acting by itself.
    Service,
    /// Nobody we know.
    Anonymous,
}

/// A caller whose identity has been verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// Its resource name: `users/…`, `serviceAccounts/…`, `services/…`.
    pub name: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// The credential it came with, e.g. an API key's public id: what a revocation names.
    pub credential: Option<String>,
    /// Resource prefixes the credential is narrowed to. Empty: no narrowing.
    pub scopes: Vec<String>,
}

impl Principal {
    /// The caller that presented nothing.
    pub fn anonymous() -> Self {
        Self { name: "anonymous".into(), kind: PrincipalKind::Anonymous, credential: None, scopes: vec![] }
    }

    /// A part of Cairn acting by itself.
    pub fn service(name: &str) -> Self {
        Self { name: format!("services/{name}"), kind: PrincipalKind::Service, credential: None, scopes: vec![] }
    }

    /// Whether this is nobody we know.
    pub fn is_anonymous(&self) -> bool {
        self.kind == PrincipalKind::Anonymous
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
