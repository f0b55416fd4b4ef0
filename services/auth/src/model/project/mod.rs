use std::collections::BTreeMap;

use cairn_kernel::Aggregate;

use super::{OrganizationName, PROSE_CHARS_MAX, ProjectName, Quota, Rejection, TITLE_CHARS_MAX, TagText, Text};

/// Facts about a project that bindings can depend on.
pub type Tags = BTreeMap<TagText, TagText>;

/// A room of its own: what lies in it is named below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    stage: Stage,
    title: Text<TITLE_CHARS_MAX>,
    description: Text<PROSE_CHARS_MAX>,
    tags: Tags,
    quota: Quota,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Absent,
    Active,
    Deleted,
}

/// What may be asked of a project.
#[derive(Clone, Debug)]
pub struct Command {
    pub project: ProjectName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create {
        title: Text<TITLE_CHARS_MAX>,
        description: Text<PROSE_CHARS_MAX>,
        /// What it belongs to, for ever.
        organization: OrganizationName,
    },
    /// All of its tags from now on.
    Classify {
        tags: Tags,
    },
    /// All of its limits from now on.
    SetQuota {
        quota: Quota,
    },
    /// What is absent stays as it is.
    Describe {
        title: Option<Text<TITLE_CHARS_MAX>>,
        description: Option<Text<PROSE_CHARS_MAX>>,
    },
    Delete,
    Restore,
}

/// What happened to a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub project: ProjectName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created { title: Text<TITLE_CHARS_MAX>, description: Text<PROSE_CHARS_MAX>, organization: OrganizationName },
    Classified { tags: Tags },
    QuotaSet { quota: Quota },
    Described { title: Text<TITLE_CHARS_MAX>, description: Text<PROSE_CHARS_MAX> },
    Deleted,
    Restored,
}

impl Aggregate for Project {
    const CATEGORY: &'static str = "auth.project";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { project, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, self.stage) {
            (Act::Create { title, description, organization }, Stage::Absent) => {
                Change::Created { title, description, organization }
            }
            (Act::Create { .. }, _) => return Err(Rejection::ProjectExists(project)),
            (_, Stage::Absent) => return Err(Rejection::ProjectNotFound(project)),
            (Act::Delete, Stage::Deleted) | (Act::Restore, Stage::Active) => return Ok(vec![]),
            (Act::Delete, Stage::Active) => Change::Deleted,
            (Act::Restore, Stage::Deleted) => Change::Restored,
            (Act::Classify { tags }, Stage::Active) if tags == self.tags => return Ok(vec![]),
            (Act::Classify { tags }, Stage::Active) => Change::Classified { tags },
            (Act::SetQuota { quota }, Stage::Active) if quota == self.quota => return Ok(vec![]),
            (Act::SetQuota { quota }, Stage::Active) => Change::QuotaSet { quota },
            (Act::Describe { .. } | Act::Classify { .. } | Act::SetQuota { .. }, Stage::Deleted) => {
                return Err(Rejection::ProjectDeleted(project));
            }
            (Act::Describe { title, description }, Stage::Active) => {
                let title = title.unwrap_or_else(|| self.title.clone());
                let description = description.unwrap_or_else(|| self.description.clone());
                if title == self.title && description == self.description {
                    return Ok(vec![]);
                }
                Change::Described { title, description }
            }
        };
        Ok(vec![Event { project, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { title, description, .. } => {
                *self = Self {
                    stage: Stage::Active,
                    title: title.clone(),
                    description: description.clone(),
                    tags: Tags::default(),
                    quota: Quota::default(),
                };
            }
            Change::Classified { tags } => self.tags = tags.clone(),
            Change::QuotaSet { quota } => self.quota = *quota,
            Change::Described { title, description } => {
                (self.title, self.description) = (title.clone(), description.clone());
            }
            Change::Deleted => self.stage = Stage::Deleted,
            Change::Restored => self.stage = Stage::Active,
        }
    }
}

#[cfg(test)]
mod spec;
