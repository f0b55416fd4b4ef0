use cairn_kernel::Aggregate;

use super::{OrganizationName, PROSE_CHARS_MAX, REASON_CHARS_MAX, Rejection, RoleName, TITLE_CHARS_MAX, Text};

/// Who projects, groups, roles and service accounts belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organization {
    stage: Stage,
    title: Text<TITLE_CHARS_MAX>,
    description: Text<PROSE_CHARS_MAX>,
    separated: Vec<Pair>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Never created. The default organization is open all the same.
    #[default]
    Absent,
    Active,
    Deleted,
}

/// Two roles that nobody may hold together on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub role: RoleName,
    pub other_role: RoleName,
    pub reason: Text<REASON_CHARS_MAX>,
}

/// What may be asked of an organization.
#[derive(Clone, Debug)]
pub struct Command {
    pub organization: OrganizationName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create {
        title: Text<TITLE_CHARS_MAX>,
        description: Text<PROSE_CHARS_MAX>,
    },
    /// What is absent stays as it is.
    Describe {
        title: Option<Text<TITLE_CHARS_MAX>>,
        description: Option<Text<PROSE_CHARS_MAX>>,
        separated: Option<Vec<Pair>>,
    },
    /// That it has no open projects is seen to before.
    Delete,
    Restore,
}

/// What happened to an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub organization: OrganizationName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created { title: Text<TITLE_CHARS_MAX>, description: Text<PROSE_CHARS_MAX> },
    Described { title: Text<TITLE_CHARS_MAX>, description: Text<PROSE_CHARS_MAX> },
    DutiesSeparated { pairs: Vec<Pair> },
    Deleted,
    Restored,
}

impl Organization {
    /// Refuses unless something can be made in it.
    pub fn require_open(&self, organization: &OrganizationName) -> Result<(), Rejection> {
        match self.stage_of(organization) {
            Stage::Active => Ok(()),
            Stage::Absent => Err(Rejection::OrganizationNotFound(organization.clone())),
            Stage::Deleted => Err(Rejection::OrganizationDeleted(organization.clone())),
        }
    }

    fn stage_of(&self, organization: &OrganizationName) -> Stage {
        if self.stage == Stage::Absent && organization.is_default() { Stage::Active } else { self.stage }
    }
}

impl Aggregate for Organization {
    const CATEGORY: &'static str = "auth.organization";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { organization, act }: Command) -> Result<Vec<Event>, Rejection> {
        let changes = match (act, self.stage_of(&organization)) {
            (Act::Create { title, description }, Stage::Absent) => vec![Change::Created { title, description }],
            (Act::Create { .. }, _) => return Err(Rejection::OrganizationExists(organization)),
            (_, Stage::Absent) => return Err(Rejection::OrganizationNotFound(organization)),
            (Act::Delete, _) if organization.is_default() => return Err(Rejection::OrganizationNeeded(organization)),
            (Act::Delete, Stage::Deleted) | (Act::Restore, Stage::Active) => vec![],
            (Act::Delete, Stage::Active) => vec![Change::Deleted],
            (Act::Restore, Stage::Deleted) => vec![Change::Restored],
            (Act::Describe { .. }, Stage::Deleted) => return Err(Rejection::OrganizationDeleted(organization)),
            (Act::Describe { title, description, separated }, Stage::Active) => {
                let title = title.unwrap_or_else(|| self.title.clone());
                let description = description.unwrap_or_else(|| self.description.clone());
                let is_same = title == self.title && description == self.description;
                let described = (!is_same).then_some(Change::Described { title, description });
                let pairs = separated.filter(|pairs| *pairs != self.separated);
                described.into_iter().chain(pairs.map(|pairs| Change::DutiesSeparated { pairs })).collect()
            }
        };
        Ok(changes.into_iter().map(|change| Event { organization: organization.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { title, description } => {
                (self.stage, self.title, self.description) = (Stage::Active, title.clone(), description.clone());
            }
            Change::Described { title, description } => {
                (self.title, self.description) = (title.clone(), description.clone());
            }
            Change::DutiesSeparated { pairs } => self.separated = pairs.clone(),
            Change::Deleted => self.stage = Stage::Deleted,
            Change::Restored => self.stage = Stage::Active,
        }
    }
}

#[cfg(test)]
mod spec;
