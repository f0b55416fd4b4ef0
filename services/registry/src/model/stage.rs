use std::fmt;
use std::str::FromStr;

/// How far a version has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Nobody has judged it yet.
    #[default]
    None,
    /// It is being tried.
    Staging,
    /// It is in use.
    Production,
    /// It was, and is kept.
    Archived,
}

/// A text that names no stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of None, Staging, Production, Archived")]
pub struct StageFault(pub String);

impl Stage {
    /// All there are, in the order a version usually takes.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// Where a version may go from here.
    ///
    /// Everywhere, but for one thing: `None` says that nobody has judged it, and of what was in use that is not true any
    /// more.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::None => &[Self::Staging, Self::Production, Self::Archived],
            Self::Staging => &[Self::None, Self::Production, Self::Archived],
            Self::Production => &[Self::Staging, Self::Archived],
            Self::Archived => &[Self::Staging, Self::Production],
        }
    }

    /// Whether a version may go from here to there. Staying is no move.
    pub fn leads_to(self, to: Self) -> bool {
        self.next().contains(&to)
    }

    /// Whether versions in it are at work, so that a new one can take their place.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }

    /// As MLflow's clients spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// In whatever case.
impl FromStr for Stage {
    type Err = StageFault;

    fn from_str(text: &str) -> Result<Self, StageFault> {
        let found = Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| StageFault(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_between_stages_is_allowed_or_not_as_the_table_says() {
        use Stage::{Archived, None, Production, Staging};
        let table = [
            (None, [false, true, true, true]),
            (Staging, [true, false, true, true]),
            (Production, [false, true, false, true]),
            (Archived, [false, true, true, false]),
        ];
        for (from, allowed) in table {
            for (to, is_allowed) in Stage::ALL.into_iter().zip(allowed) {
                assert_eq!(from.leads_to(to), is_allowed, "{from} to {to}");
            }
        }
    }

    #[test]
    fn a_stage_is_read_in_whatever_case_it_is_written() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().to_uppercase().parse(), Ok(stage));
        }
        assert!("retired".parse::<Stage>().is_err());
    }
}
