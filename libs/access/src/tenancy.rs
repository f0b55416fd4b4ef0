use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use cairn_kernel::Name;

use crate::ProjectQuota;

/// What every project belongs to that belongs to nothing else. It is there without having been created.
pub const DEFAULT_ORGANIZATION: &str = "organizations/default";

/// Two roles that nobody may hold together on one resource, by their names.
pub type SeparatedRoles = (String, String);

/// Which organizations there are, and what belongs to each: projects and service accounts, for ever.
///
/// Told from the owner's own record, never from a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tenancy {
    organizations: HashMap<Name, Organization>,
    owners: HashMap<Name, Name>,
    belongings: HashMap<Name, BTreeSet<Name>>,
    tags: HashMap<Name, Arc<BTreeMap<String, String>>>,
    /// Of the projects that have one.
    quotas: HashMap<Name, ProjectQuota>,
}

#[derive(Clone, Debug)]
struct Organization {
    is_open: bool,
    separated: Arc<Vec<SeparatedRoles>>,
}

impl Default for Organization {
    fn default() -> Self {
        Self { is_open: true, separated: Arc::default() }
    }
}

/// [`DEFAULT_ORGANIZATION`] as a name.
pub(crate) fn default_organization() -> &'static Name {
    static NAME: LazyLock<Name> = LazyLock::new(|| DEFAULT_ORGANIZATION.parse().expect("it is a name"));
    &NAME
}

/// Whether a name is an organization's own.
pub(crate) fn is_organization(name: &Name) -> bool {
    name.as_str().strip_prefix("organizations/").is_some_and(|id| !id.contains('/'))
}

impl Tenancy {
    pub fn open(&mut self, organization: Name) {
        self.organizations.entry(organization).or_default().is_open = true;
    }

    pub fn close(&mut self, organization: Name) {
        self.organizations.entry(organization).or_default().is_open = false;
    }

    pub fn separate(&mut self, organization: Name, separated: Vec<SeparatedRoles>) {
        self.organizations.entry(organization).or_default().separated = Arc::new(separated);
    }

    /// Notes what something belongs to. The first word counts: it cannot be changed.
    pub fn note(&mut self, thing: Name, organization: Name) {
        if self.owners.contains_key(&thing) {
            return;
        }
        self.belongings.entry(organization.clone()).or_default().insert(thing.clone());
        self.owners.insert(thing, organization);
    }

    pub fn tag(&mut self, project: Name, tags: BTreeMap<String, String>) {
        self.tags.insert(project, Arc::new(tags));
    }

    pub fn limit(&mut self, project: Name, quota: ProjectQuota) {
        if quota == ProjectQuota::default() {
            self.quotas.remove(&project);
        } else {
            self.quotas.insert(project, quota);
        }
    }

    pub fn quota(&self, project: &Name) -> ProjectQuota {
        self.quotas.get(project).copied().unwrap_or_default()
    }

    /// Whether there is or was such an organization.
    pub fn knows(&self, organization: &Name) -> bool {
        organization == default_organization() || self.organizations.contains_key(organization)
    }

    /// Whether it is there and not deleted.
    pub fn is_open(&self, organization: &Name) -> bool {
        self.organizations.get(organization).map_or(organization == default_organization(), |known| known.is_open)
    }

    /// The organization that a resource lies in: its own, or the one that its project or service account belongs to.
    pub fn owner(&self, resource: &Name) -> Option<&Name> {
        // Most resources lie in a project, and looking it up takes its name as text alone.
        let text = resource.as_str();
        let mut ends = text.match_indices('/').map(|(at, _)| at);
        let (collection, second) = (ends.next(), ends.next());
        let top = &text[..second.unwrap_or(text.len())];
        match &text[..collection?] {
            "projects" | "serviceAccounts" => self.owners.get(top),
            "organizations" => self
                .organizations
                .get_key_value(top)
                .map(|(name, _)| name)
                .or_else(|| Some(default_organization()).filter(|default| default.as_str() == top)),
            _ => None,
        }
    }

    /// What belongs to an organization, in the order of names.
    pub fn belongings(&self, organization: &Name) -> impl Iterator<Item = &Name> {
        self.belongings.get(organization).into_iter().flatten()
    }

    /// Every organization that is or was there.
    pub fn organizations(&self) -> impl Iterator<Item = &Name> {
        let default = default_organization();
        let is_unborn = !self.organizations.contains_key(default);
        self.organizations.keys().chain(is_unborn.then_some(default))
    }

    pub fn separated(&self, organization: &Name) -> &[SeparatedRoles] {
        self.organizations.get(organization).map_or(&[], |known| &known.separated)
    }

    pub fn tags(&self, project: &Name) -> Option<&BTreeMap<String, String>> {
        self.tags.get(project).map(Arc::as_ref)
    }

    /// Whether a prefix holds on a resource: it covers it, or is the organization that it belongs to.
    pub fn covers(&self, prefix: &Name, resource: &Name) -> bool {
        prefix.covers(resource) || (is_organization(prefix) && self.owner(resource) == Some(prefix))
    }
}
