use std::collections::BTreeSet;

use cairn_kernel::Aggregate;

use super::{GroupName, HolderName, PROSE_CHARS_MAX, Rejection, TITLE_CHARS_MAX, Text};

/// People and programs of one organization who are given roles together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    stage: Stage,
    about: About,
    members: BTreeSet<HolderName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Absent,
    Active,
    /// For ever.
    Deleted,
}

/// What a group is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub display_name: Text<TITLE_CHARS_MAX>,
    pub description: Text<PROSE_CHARS_MAX>,
    /// What the directory that it comes from calls it.
    pub external_id: Text<TITLE_CHARS_MAX>,
}

/// What may be asked of a group. Whether the caller may give what the group holds is decided before.
#[derive(Clone, Debug)]
pub struct Command {
    pub group: GroupName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create {
        about: About,
    },
    /// What is absent stays as it is.
    Describe {
        display_name: Option<Text<TITLE_CHARS_MAX>>,
        description: Option<Text<PROSE_CHARS_MAX>>,
        external_id: Option<Text<TITLE_CHARS_MAX>>,
    },
    Add {
        members: Vec<HolderName>,
        members_max: usize,
    },
    Remove {
        members: Vec<HolderName>,
    },
    Delete,
}

/// What happened to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub group: GroupName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created { about: About },
    Described { about: About },
    MembersAdded { members: Vec<HolderName> },
    MembersRemoved { members: Vec<HolderName> },
    Deleted,
}

impl Group {
    /// Whether it gives its members anything.
    pub fn is_active(&self) -> bool {
        self.stage == Stage::Active
    }
}

impl Aggregate for Group {
    const CATEGORY: &'static str = "auth.group";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { group, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, self.stage) {
            (Act::Create { about }, Stage::Absent) => Change::Created { about },
            (Act::Create { .. }, _) => return Err(Rejection::GroupExists(group)),
            (_, Stage::Absent) => return Err(Rejection::GroupNotFound(group)),
            (Act::Delete, Stage::Deleted) => return Ok(vec![]),
            (_, Stage::Deleted) => return Err(Rejection::GroupDeleted(group)),
            (Act::Delete, Stage::Active) => Change::Deleted,
            (Act::Describe { display_name, description, external_id }, Stage::Active) => {
                let before = self.about.clone();
                let about = About {
                    display_name: display_name.unwrap_or(before.display_name),
                    description: description.unwrap_or(before.description),
                    external_id: external_id.unwrap_or(before.external_id),
                };
                if about == self.about {
                    return Ok(vec![]);
                }
                Change::Described { about }
            }
            (Act::Add { members, members_max }, Stage::Active) => {
                let new: BTreeSet<_> = members.into_iter().filter(|member| !self.members.contains(member)).collect();
                if new.is_empty() {
                    return Ok(vec![]);
                }
                if self.members.len() + new.len() > members_max {
                    let what = "members";
                    return Err(Rejection::Full { holder: group.to_string(), what, limit: members_max });
                }
                Change::MembersAdded { members: new.into_iter().collect() }
            }
            (Act::Remove { members }, Stage::Active) => {
                let gone: BTreeSet<_> = members.into_iter().filter(|member| self.members.contains(member)).collect();
                if gone.is_empty() {
                    return Ok(vec![]);
                }
                Change::MembersRemoved { members: gone.into_iter().collect() }
            }
        };
        Ok(vec![Event { group, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { about } => (self.stage, self.about) = (Stage::Active, about.clone()),
            Change::Described { about } => self.about = about.clone(),
            Change::MembersAdded { members } => self.members.extend(members.iter().cloned()),
            Change::MembersRemoved { members } => self.members.retain(|member| !members.contains(member)),
            Change::Deleted => self.stage = Stage::Deleted,
        }
    }
}

#[cfg(test)]
mod spec;
