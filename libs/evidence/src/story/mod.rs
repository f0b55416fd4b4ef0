//! What happened, as the events alone tell it.

mod findings;
mod held;
mod promotion;
mod run;
mod signature;
mod version;

use serde::{Deserialize, Serialize};

pub use self::findings::Finding;
pub use self::promotion::{Approval, Promotion};
pub use self::run::{Artifact, Dataset, Run};
pub use self::version::Version;
use crate::event::Event;

/// The story of a promotion: what was asked for, who agreed, by which rules, and what it was about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    pub promotion: Promotion,
    pub versions: Vec<Version>,
    pub runs: Vec<Run>,
    /// The rules of four eyes, and whether they were kept.
    pub findings: Vec<Finding>,
}

/// Why events tell no story.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoryFault {
    #[error("{0} is not the name of a promotion")]
    Name(String),
    #[error("the events do not tell of {0}")]
    Unknown(String),
}

impl Story {
    /// What the events, in their order, tell of a promotion.
    pub fn of(promotion: &str, events: &[Event]) -> Result<Self, StoryFault> {
        let (promotion, asked) = Promotion::of(promotion, events)?;
        let numbers = promotion.moves.iter().map(|step| step.version);
        let names = numbers.map(|number| format!("{}/versions/{number}", promotion.model));
        let mut versions = vec![];
        for name in names {
            if !versions.iter().any(|version: &Version| version.name == name) {
                versions.push(Version::of(&name, events)?);
            }
        }
        let mut runs: Vec<Run> = vec![];
        for version in &versions {
            if !version.source_run.is_empty() && !runs.iter().any(|run| run.name == version.source_run) {
                runs.extend(Run::of(&version.source_run, events));
            }
        }
        let findings = findings::judge(&promotion, &asked, &versions, events);
        Ok(Self { promotion, versions, runs, findings })
    }

    /// Whether every rule was kept.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.holds)
    }
}
