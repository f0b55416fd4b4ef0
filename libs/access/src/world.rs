use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cairn_kernel::{Name, Position, Time};

use crate::grant::Held;
use crate::groups::{Groups, Membership};
use crate::guardrail::Guardrails;
use crate::tenancy::{SeparatedRoles, Tenancy, default_organization};
use crate::{Change, Circumstances, Digest, Form, Grant, ProjectQuota, Role};

/// Everything access rests on, as folded from auth's events.
///
/// Cheap enough to clone per batch of changes: what is large in it is shared.
#[derive(Clone, Debug, Default)]
pub struct World {
    principals: HashMap<String, Standing>,
    projects: HashMap<Name, bool>,
    keys: HashMap<String, Arc<KeyRecord>>,
    opaque: HashMap<Vec<u8>, String>,
    grants: HashMap<String, Arc<Grants>>,
    given: Arc<HashMap<String, Position>>,
    credentials: Arc<HashMap<String, Credential>>,
    signing_key: Option<String>,
    tenancy: Arc<Tenancy>,
    groups: Arc<Groups>,
    roles: Arc<HashMap<String, Arc<Role>>>,
    /// Bindings that emergencies gave and that were not withdrawn. Few decisions need look for one.
    emergencies: Arc<HashSet<String>>,
    /// By organization. Most have none.
    guardrails: Arc<HashMap<Name, Guardrails>>,
    policy: Position,
}

/// What tokens are given out for beside API keys: a session of somebody who is logged in, or a rule that workloads are
/// trusted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whom it speaks for.
    pub owner: String,
    /// The id of the API key that it rests on, and ends with.
    pub key: Option<String>,
    /// `None`: it does not end by itself.
    pub expire_time: Option<Time>,
    pub is_revoked: bool,
    /// When they showed who they are. `None`: they did not, a key was enough.
    pub login_time: Option<Time>,
}

impl Credential {
    /// Whether it has ended by itself.
    pub fn has_expired(&self, now: Time) -> bool {
        self.expire_time.is_some_and(|end| end <= now)
    }
}

/// As often as so many were given, those that have ended by themselves are forgotten.
const FORGET_EVERY: usize = 64;

/// Whether a principal is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    Disabled,
    Deleted,
}

/// The grants of a principal or a group by the resource they hold on, so that a decision looks only at the resource's ancestors.
pub(crate) type Grants = BTreeMap<String, Vec<Grant>>;

/// An API key as the replica knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// `{owner}/apiKeys/{key}`
    pub name: String,
    /// Whom it speaks for.
    pub owner: String,
    pub digest: Digest,
    /// The secret before the last rotation, and until when it is accepted.
    pub previous: Option<(Digest, Time)>,
    /// When it was last rotated. Tokens from before hold as long as the secret they were got with.
    pub rotate_time: Option<Time>,
    /// Empty: not narrowed.
    pub scopes: Vec<Name>,
    /// Empty: not narrowed.
    pub permissions: Vec<String>,
    /// `None`: it does not end by itself.
    pub expire_time: Option<Time>,
    pub is_revoked: bool,
    /// Whether it lets the first administrator in.
    pub is_bootstrap: bool,
    /// Whether a bootstrap key has been used.
    pub is_used: bool,
}

impl KeyRecord {
    /// Whether it has ended by itself.
    pub fn has_expired(&self, now: Time) -> bool {
        self.expire_time.is_some_and(|end| end <= now)
    }

    /// Whether a token holds that was got with this key at `issued`: not when the secret it was got with is refused.
    pub fn accepts_tokens_of(&self, issued: Time, now: Time) -> bool {
        // A token knows when it was made to the millisecond.
        let milliseconds = |time: Time| time.micros() / 1000;
        let is_of_current = self.rotate_time.is_none_or(|rotated| milliseconds(rotated) <= milliseconds(issued));
        is_of_current || self.previous.as_ref().is_some_and(|(_, until)| now < *until)
    }
}

impl World {
    /// Folds one change in. Never fails and never checks: what happened, happened.
    pub fn apply(&mut self, change: Change, position: Position) {
        self.policy = position;
        match change {
            Change::ProjectOpened { project } => {
                // Whatever says nothing else belongs to the default organization.
                Arc::make_mut(&mut self.tenancy).note(project.clone(), default_organization().clone());
                self.projects.insert(project, true);
            }
            Change::ProjectCreated { project, organization } => {
                Arc::make_mut(&mut self.tenancy).note(project.clone(), organization);
                self.projects.insert(project, true);
            }
            Change::ProjectClosed { project } => drop(self.projects.insert(project, false)),
            Change::ProjectTagged { project, tags } => Arc::make_mut(&mut self.tenancy).tag(project, tags),
            Change::QuotaSet { project, quota } => Arc::make_mut(&mut self.tenancy).limit(project, quota),
            Change::PrincipalIs { principal, standing } => self.stand(principal, standing),
            Change::AccountCreated { account, organization } => {
                self.principals.insert(account.to_string(), Standing::Active);
                if let Some(organization) = organization {
                    Arc::make_mut(&mut self.tenancy).note(account, organization);
                }
            }
            Change::OrganizationOpened { organization } => Arc::make_mut(&mut self.tenancy).open(organization),
            Change::OrganizationClosed { organization } => Arc::make_mut(&mut self.tenancy).close(organization),
            Change::DutiesSeparated { organization, separated } => {
                Arc::make_mut(&mut self.tenancy).separate(organization, separated)
            }
            Change::GroupCreated { group } => Arc::make_mut(&mut self.groups).create(group),
            Change::GroupDeleted { group } => Arc::make_mut(&mut self.groups).delete(&group),
            Change::MembersAdded { group, members } => Arc::make_mut(&mut self.groups).add(&group, members, position),
            Change::MembersRemoved { group, members } => Arc::make_mut(&mut self.groups).remove(&group, &members),
            Change::RoleDefined { role } => {
                let role = Arc::new(role);
                Arc::make_mut(&mut self.roles).insert(role.name.clone(), Arc::clone(&role));
                self.give_meaning(&role.name, Some(&role));
            }
            Change::RoleRemoved { role } => {
                Arc::make_mut(&mut self.roles).remove(&role);
                self.give_meaning(&role, None);
            }
            Change::KeyCreated { id, record } => {
                if record.digest.form == Form::Opaque {
                    self.opaque.insert(record.digest.bytes.clone(), id.clone());
                }
                self.keys.insert(id, Arc::new(record));
            }
            Change::KeyRotated { id, digest, expire_time, rotate_time, previous_until } => {
                self.change_key(&id, |key| {
                    key.rotate_time = Some(rotate_time);
                    let before = std::mem::replace(&mut key.digest, digest);
                    key.previous = previous_until.map(|until| (before, until));
                    key.expire_time = expire_time;
                })
            }
            Change::KeyRevoked { id } => self.change_key(&id, |key| key.is_revoked = true),
            Change::BootstrapKeyUsed { id } => self.change_key(&id, |key| key.is_used = true),
            Change::Granted { principal, mut grant } => {
                if let Some(role) = self.roles.get(&grant.role_name) {
                    grant.role = Some(Arc::clone(role));
                }
                Arc::make_mut(&mut self.given).insert(grant.binding.clone(), position);
                if grant.activation.is_some() {
                    Arc::make_mut(&mut self.emergencies).insert(grant.binding.clone());
                }
                let grants = Arc::make_mut(self.grants.entry(principal).or_default());
                grants.entry(grant.resource.as_str().to_owned()).or_default().push(grant);
            }
            Change::Withdrawn { principal, resource, binding } => {
                Arc::make_mut(&mut self.given).remove(&binding);
                if self.emergencies.contains(&binding) {
                    Arc::make_mut(&mut self.emergencies).remove(&binding);
                }
                let Some(grants) = self.grants.get_mut(&principal) else { return };
                let grants = Arc::make_mut(grants);
                let Some(here) = grants.get_mut(resource.as_str()) else { return };
                here.retain(|grant| grant.binding != binding);
                if here.is_empty() {
                    grants.remove(resource.as_str());
                }
            }
            Change::CredentialGiven { id, credential, now } => {
                let credentials = Arc::make_mut(&mut self.credentials);
                credentials.insert(id, credential);
                if credentials.len().is_multiple_of(FORGET_EVERY) {
                    credentials.retain(|_, credential| !credential.has_expired(now));
                }
            }
            Change::CredentialRevoked { id } => {
                if let Some(credential) = Arc::make_mut(&mut self.credentials).get_mut(&id) {
                    credential.is_revoked = true;
                }
            }
            Change::GuardrailSet { organization, guardrail, policy } => {
                Arc::make_mut(&mut self.guardrails).entry(organization).or_default().set(guardrail, &policy);
            }
            Change::GuardrailRemoved { organization, guardrail } => {
                let all = Arc::make_mut(&mut self.guardrails);
                let Some(own) = all.get_mut(&organization) else { return };
                own.remove(&guardrail);
                if own.is_empty() {
                    all.remove(&organization);
                }
            }
            Change::SigningKeyIs { kid } => self.signing_key = Some(kid),
            Change::Nothing => {}
        }
    }

    /// Lets somebody in or shuts them out. Who is shut out is logged out for good; keys, and rules that workloads are
    /// trusted by, which do not end by themselves, are held as before when they are let in again.
    fn stand(&mut self, principal: String, standing: Standing) {
        let is_session = |held: &Credential| held.owner == principal && held.expire_time.is_some();
        if standing != Standing::Active && self.credentials.values().any(is_session) {
            let all = Arc::make_mut(&mut self.credentials).values_mut();
            all.filter(|held| is_session(held)).for_each(|session| session.is_revoked = true);
        }
        self.principals.insert(principal, standing);
    }

    /// Says what an organization's role means from now on, to everybody who was given it. Roles change seldom, and
    /// decisions shall not have to look for them.
    fn give_meaning(&mut self, name: &str, role: Option<&Arc<Role>>) {
        for grants in self.grants.values_mut() {
            if !grants.values().flatten().any(|grant| grant.role_name == name) {
                continue;
            }
            for grant in Arc::make_mut(grants).values_mut().flatten().filter(|grant| grant.role_name == name) {
                grant.role = role.cloned();
            }
        }
    }

    fn change_key(&mut self, id: &str, change: impl FnOnce(&mut KeyRecord)) {
        if let Some(key) = self.keys.get_mut(id) {
            change(Arc::make_mut(key));
        }
    }

    /// Whether a principal is let in; `None`: nobody we know.
    pub fn standing(&self, principal: &str) -> Option<Standing> {
        self.principals.get(principal).copied()
    }

    /// Whether a project can be worked in.
    pub fn is_open(&self, project: &Name) -> bool {
        let is_open = self.projects.get(project).copied().unwrap_or(false);
        is_open && self.tenancy.owner(project).is_none_or(|organization| self.tenancy.is_open(organization))
    }

    /// The organization that a resource lies in: itself or what it lies below, or what its project or service account
    /// belongs to. `None`: nothing but the deployment.
    pub fn owner(&self, resource: &Name) -> Option<&Name> {
        self.tenancy.owner(resource)
    }

    /// What belongs to an organization: its projects and service accounts, deleted ones too.
    pub fn belongings(&self, organization: &Name) -> impl Iterator<Item = &Name> {
        self.tenancy.belongings(organization)
    }

    /// Whether there is or was an organization.
    pub fn knows_organization(&self, organization: &Name) -> bool {
        self.tenancy.knows(organization)
    }

    /// Whether an organization is there and not deleted.
    pub fn is_open_organization(&self, organization: &Name) -> bool {
        self.tenancy.is_open(organization)
    }

    /// Every organization that is or was there.
    pub fn organizations(&self) -> impl Iterator<Item = &Name> {
        self.tenancy.organizations()
    }

    /// The roles that nobody may hold together in an organization.
    pub fn separated(&self, organization: &Name) -> &[SeparatedRoles] {
        self.tenancy.separated(organization)
    }

    /// The tags of a project.
    pub fn tags(&self, project: &Name) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.tenancy.tags(project).unwrap_or(&NONE)
    }

    /// How much a project may take up.
    pub fn quota(&self, project: &Name) -> ProjectQuota {
        self.tenancy.quota(project)
    }

    /// Whether a prefix holds on a resource: it covers it, or is the organization that it belongs to.
    pub fn covers(&self, prefix: &Name, resource: &Name) -> bool {
        self.tenancy.covers(prefix, resource)
    }

    /// Everything that the replica knows by name, none below another: organizations, projects and principals.
    pub(crate) fn everything(&self) -> Vec<Name> {
        let principals = self.principals.keys().filter_map(|principal| principal.parse().ok());
        let named = self.tenancy.organizations().chain(self.projects.keys()).cloned();
        named.chain(principals).collect()
    }

    /// The role of an organization, by its name.
    pub fn role(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.get(name)
    }

    /// Whether a group is there and not deleted.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.knows(group)
    }

    /// Who is in a group, directly.
    pub fn members(&self, group: &str) -> impl Iterator<Item = &str> {
        self.groups.members(group)
    }

    /// The groups that somebody is in, directly or through another.
    pub fn groups_of<'a>(&'a self, member: &'a str) -> impl Iterator<Item = Membership<'a>> {
        self.groups.of(member)
    }

    /// The groups that somebody is in directly.
    pub fn groups_around<'a>(&'a self, member: &'a str) -> impl Iterator<Item = Membership<'a>> {
        self.groups.direct(member)
    }

    /// How many groups an organization has.
    pub fn group_count(&self, organization: &Name) -> usize {
        self.groups.count_below(&format!("{organization}/groups/"))
    }

    /// How many roles an organization has.
    pub fn role_count(&self, organization: &Name) -> usize {
        let prefix = format!("{organization}/roles/");
        self.roles.keys().filter(|role| role.starts_with(&prefix)).count()
    }

    /// The bindings that give or deny a role, each with who holds it.
    pub fn bindings_of<'a>(&'a self, role: &'a str) -> impl Iterator<Item = (&'a str, &'a Grant)> {
        let grants = self
            .grants
            .iter()
            .flat_map(|(holder, grants)| grants.values().flatten().map(move |grant| (holder.as_str(), grant)));
        grants.filter(move |(_, grant)| grant.role_name() == role)
    }

    /// A principal's own grants, and those of each group that it is in.
    pub(crate) fn holders<'a>(&'a self, principal: &'a str) -> impl Iterator<Item = (Option<&'a str>, &'a Grants)> {
        let own = self.grants_by_resource(principal).map(|grants| (None, grants));
        let groups = self.groups.of(principal).map(|membership| membership.group);
        own.into_iter().chain(groups.filter_map(|group| Some((Some(group), self.grants_by_resource(group)?))))
    }

    /// Everything that a principal holds or is denied, itself or through a group.
    pub(crate) fn held_by<'a>(&'a self, principal: &'a str) -> impl Iterator<Item = Held<'a>> {
        let holders = self.holders(principal);
        holders.flat_map(|(group, grants)| grants.values().flatten().map(move |grant| Held { grant, group }))
    }

    /// Everything that a principal holds or is denied, each with the group that it is held through.
    pub fn all_grants<'a>(&'a self, principal: &'a str) -> impl Iterator<Item = (&'a Grant, Option<&'a str>)> {
        self.held_by(principal).map(|held| (held.grant, held.group))
    }

    /// Whether work on a resource is out of the question for everybody, its project being deleted or unknown.
    pub fn is_closed(&self, permission: &str, resource: &Name) -> bool {
        crate::table::closed(self, permission, resource).is_some()
    }

    /// Whether there is or was a project.
    pub fn knows(&self, project: &Name) -> bool {
        self.projects.contains_key(project)
    }

    /// An API key, by its public id.
    pub fn key(&self, id: &str) -> Option<&Arc<KeyRecord>> {
        self.keys.get(id)
    }

    /// A session, by its id. One that ended by itself may be forgotten.
    pub fn credential(&self, id: &str) -> Option<&Credential> {
        self.credentials.get(id)
    }

    /// What a credential is narrowed by: the API key that it is, or rests on. `None`: it does not hold.
    pub(crate) fn holding(&self, id: &str, owner: &str, now: Time) -> Option<Option<&Arc<KeyRecord>>> {
        let held =
            |id: &str| self.keys.get(id).filter(|key| !key.is_revoked && !key.has_expired(now) && key.owner == owner);
        let Some(credential) = self.credentials.get(id) else { return held(id).map(Some) };
        if credential.is_revoked || credential.has_expired(now) || credential.owner != owner {
            return None;
        }
        match &credential.key {
            Some(key) => held(key).map(Some),
            None => Some(None),
        }
    }

    /// The name of the key that access tokens are signed with, as the log last said. `None`: it has not been replaced.
    pub(crate) fn signing_key(&self) -> Option<&str> {
        self.signing_key.as_deref()
    }

    /// The id of a key that the operator chose, by the digest of its text.
    pub(crate) fn opaque(&self, digest: &[u8]) -> Option<&str> {
        self.opaque.get(digest).map(String::as_str)
    }

    /// Whether the operator chose any key.
    pub(crate) fn has_opaque(&self) -> bool {
        !self.opaque.is_empty()
    }

    /// What a principal or a group was given or is denied itself, in the order of the resources.
    pub fn grants(&self, holder: &str) -> impl Iterator<Item = &Grant> {
        self.grants_by_resource(holder).into_iter().flat_map(|grants| grants.values().flatten())
    }

    /// Where in the log a binding that holds was given. A binding is given once: after it was withdrawn, the same role
    /// comes with another one.
    pub fn given(&self, binding: &str) -> Option<Position> {
        self.given.get(binding).copied()
    }

    /// The roles that a principal holds on a resource, itself or through a group, and since where in the log. Who is not
    /// let in holds none; what depends on the circumstances of a request is not held as such.
    pub fn held(&self, principal: &str, resource: &Name, now: Time) -> Vec<(String, Position)> {
        if self.standing(principal) != Some(Standing::Active) {
            return vec![];
        }
        let groups: HashMap<&str, Position> =
            self.groups.of(principal).map(|membership| (membership.group, membership.since)).collect();
        let nowhere = Circumstances::default();
        let counts = |held: &Held<'_>| {
            let grant = held.grant;
            !grant.denies
                && grant.is_current(now)
                && self.covers(&grant.resource, resource)
                && grant.counts(self, resource, now, &nowhere)
        };
        let since = |Held { grant, group }: Held<'_>| {
            let given = self.given(&grant.binding)?;
            let joined = group.and_then(|group| groups.get(group)).copied().unwrap_or(Position::START);
            Some((grant.role.as_ref()?.name.clone(), given.max(joined)))
        };
        self.held_by(principal).filter(counts).filter_map(since).collect()
    }

    /// The guardrails of an organization, if it has any.
    pub(crate) fn guardrails(&self, organization: &Name) -> Option<&Guardrails> {
        if self.guardrails.is_empty() { None } else { self.guardrails.get(organization) }
    }

    /// How many guardrails an organization has beside one, and how many bytes their policies have.
    pub fn guardrails_beside(&self, organization: &Name, guardrail: &str) -> (usize, usize) {
        self.guardrails(organization).map_or((0, 0), |own| own.beside(guardrail))
    }

    /// Whether any emergency was declared that nobody has ended.
    pub(crate) fn has_emergencies(&self) -> bool {
        !self.emergencies.is_empty()
    }

    pub(crate) fn grants_by_resource(&self, principal: &str) -> Option<&Grants> {
        self.grants.get(principal).map(Arc::as_ref)
    }

    /// How many keys of a principal have not been revoked.
    pub fn live_keys(&self, owner: &str) -> usize {
        self.keys.values().filter(|key| key.owner == owner && !key.is_revoked).count()
    }

    /// The keys that were made to let the first administrator in, revoked ones too.
    pub fn bootstrap_keys(&self) -> impl Iterator<Item = &Arc<KeyRecord>> {
        self.keys.values().filter(|key| key.is_bootstrap)
    }

    /// Position of the last change.
    pub fn policy(&self) -> Position {
        self.policy
    }
}

#[cfg(test)]
mod spec;
