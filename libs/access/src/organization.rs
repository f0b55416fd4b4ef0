use std::collections::HashMap;

use cairn_contract::cairn::auth::events::v1::ProjectCreated;
use cairn_eventstore::{DecodeFault, Recorded};
use cairn_kernel::Name;
use prost::{Message, Name as _};

use crate::tenancy::default_organization;

/// That a project belongs to an organization, from the event that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    pub project: Name,
    pub organization: Name,
}

impl Belonging {
    /// The category of the streams that say so.
    pub const CATEGORY: &'static str = "auth.project";

    /// Reads what an event says of it; `None`: nothing.
    pub fn read(recorded: &Recorded) -> Result<Option<Self>, DecodeFault> {
        if *recorded.kind != *ProjectCreated::full_name() {
            return Ok(None);
        }
        let malformed = |problem: &dyn std::fmt::Display| DecodeFault::Malformed {
            kind: recorded.kind.to_string(),
            message: problem.to_string(),
        };
        let event = ProjectCreated::decode(recorded.payload.clone()).map_err(|fault| malformed(&fault))?;
        let name = |text: &str| text.parse::<Name>().map_err(|fault| malformed(&fault));
        let organization = match event.organization.as_str() {
            "" => default_organization().clone(),
            text => name(text)?,
        };
        Ok(Some(Self { project: name(&event.project)?, organization }))
    }
}

/// Which organization each project belongs to, for who reads the log in its order.
///
/// Exact at every position: a project's organization stands in the event that creates it and never changes, so whoever
/// has read up to an event knows what it belongs to, and learns the same when reading again. [`crate::World::owner`] is
/// the answer of this moment.
#[derive(Clone, Debug, Default)]
pub struct Organizations {
    owners: HashMap<Name, Name>,
}

impl Organizations {
    /// Takes in an event of [`Belonging::CATEGORY`]; others say nothing.
    pub fn hear(&mut self, recorded: &Recorded) -> Result<(), DecodeFault> {
        if let Some(belonging) = Belonging::read(recorded)? {
            self.note(belonging);
        }
        Ok(())
    }

    /// Takes in what was kept. The first word counts.
    pub fn note(&mut self, Belonging { project, organization }: Belonging) {
        self.owners.entry(project).or_insert(organization);
    }

    /// The organization of the project that a resource lies in. `None`: it lies in none, or in one that had not been
    /// created where reading stands.
    pub fn of(&self, resource: &Name) -> Option<&Name> {
        self.owners.get(&resource.project()?)
    }
}
