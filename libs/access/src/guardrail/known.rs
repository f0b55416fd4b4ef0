use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a service knows when it asks guardrails, beside what the guard knows of every call. Kept with what comes of the
/// call, so that the decision can be taken again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// `None`: nothing moves, or it is not known what. A policy that asks forbids then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
}

/// What comes into use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moving {
    /// The stages that versions move into.
    pub stages: BTreeSet<String>,
    /// The aliases that are moved or taken away.
    pub aliases: BTreeSet<String>,
    /// Who asked for it, and who registered the versions.
    pub authors: BTreeSet<String>,
    /// Who has approved it so far.
    pub approvers: BTreeSet<String>,
    /// How many must approve before it moves. 0: nobody.
    pub approvals_required: u32,
}

impl Known {
    /// That something moves.
    pub fn moving(moving: Moving) -> Self {
        Self { moving: Some(moving) }
    }

    /// As it is kept.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("plain strings always encode")
    }

    /// As it was kept. What does not read is not known.
    pub fn decode(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}
