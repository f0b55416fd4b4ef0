use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cairn_contract::Contract;

use crate::specialist::SPECIALISTS;

/// A named set of permissions. Carries no conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `roles/{role}`
    pub name: String,
    /// What it is for.
    pub description: String,
    permissions: BTreeSet<String>,
}

impl Role {
    /// A role that an organization makes for itself.
    pub fn new(name: String, description: String, permissions: Vec<String>) -> Self {
        Self { name, description, permissions: permissions.into_iter().collect() }
    }

    /// Those of its permissions that the contract of this program knows nothing of: they give nothing.
    pub fn unknown_permissions(&self) -> impl Iterator<Item = &str> {
        self.permissions().filter(|word| !Roles::built_in().knows(word))
    }

    /// Whether it holds a permission.
    pub fn holds(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }

    /// Every permission it holds, in order.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.permissions.iter().map(String::as_str)
    }
}

/// Verbs that change nothing.
const READING: &[&str] =
    &["get", "list", "search", "read", "watch", "compare", "download", "query", "history", "export", "check"];

/// Verbs of everyday work.
///
/// A verb in neither list is for administrators alone: a right that moves risk (`approve`, `rollout`, `use`) is given
/// to nobody by accident, and shows as a gap in `docs/roles.md` until somebody decides.
const WORKING: &[&str] = &[
    "create", "update", "delete", "restore", "log", "append", "upload", "write", "import", "copy", "tag", "set",
    "unset", "start", "finish", "stop", "cancel",
];

/// What the manager of a project may do beside the work in it.
const MANAGING: &[&str] = &[
    "auth.projects.update",
    "auth.bindings.grant",
    "auth.bindings.get",
    "auth.bindings.list",
    "auth.bindings.delete",
    "auth.decisions.explain",
    "ledger.audit.read",
    "ledger.events.read",
    "registry.promotions.approve",
    "registry.policies.protect",
    "registry.hooks.administer",
    "config.secrets.access",
    "config.secrets.destroy",
];

/// What the administrator of an organization may do in it, beside all that a manager may.
const ORGANIZING: &[&str] = &[
    "auth.organizations.get",
    "auth.organizations.list",
    "auth.organizations.update",
    "auth.projects.create",
    "auth.projects.classify",
    "auth.projects.delete",
    "auth.projects.restore",
    "auth.quotas.set",
    "auth.bindings.deny",
    "auth.breakGlass.request",
    "auth.breakGlass.get",
    "auth.breakGlass.list",
    "auth.breakGlass.approve",
    "auth.breakGlass.activate",
    "auth.breakGlass.end",
    "auth.breakGlass.review",
    "auth.guardrails.check",
    "auth.guardrails.create",
    "auth.guardrails.delete",
    "auth.guardrails.get",
    "auth.guardrails.list",
    "auth.guardrails.update",
    "auth.groups.create",
    "auth.groups.get",
    "auth.groups.list",
    "auth.groups.update",
    "auth.groups.delete",
    "auth.groupMembers.add",
    "auth.groupMembers.list",
    "auth.groupMembers.remove",
    "auth.roles.create",
    "auth.roles.update",
    "auth.roles.delete",
    "auth.serviceAccounts.create",
    "auth.serviceAccounts.get",
    "auth.serviceAccounts.list",
    "auth.serviceAccounts.update",
    "auth.serviceAccounts.disable",
    "auth.serviceAccounts.enable",
    "auth.serviceAccounts.delete",
    "auth.apiKeys.create",
    "auth.apiKeys.get",
    "auth.apiKeys.list",
    "auth.apiKeys.rotate",
    "auth.apiKeys.revoke",
];

/// What everybody may see of the ground they stand on.
///
/// A history is told to those who may read the resource itself: the ledger asks for that right too.
pub(crate) const STANDING: &[&str] = &[
    "auth.projects.get",
    "auth.projects.list",
    "auth.quotas.get",
    "auth.roles.get",
    "auth.roles.list",
    "ledger.history.read",
];

/// What every user holds on themselves.
const ONESELF: &[&str] = &[
    "auth.users.get",
    "auth.users.update",
    "auth.apiKeys.create",
    "auth.apiKeys.get",
    "auth.apiKeys.list",
    "auth.apiKeys.rotate",
    "auth.apiKeys.revoke",
    "auth.sessions.list",
    "auth.sessions.revoke",
    "ledger.history.read",
];

/// What every service account holds on itself. It cannot make or renew keys: a leaked one must not outlive its expiry.
const ITSELF: &[&str] = &[
    "auth.serviceAccounts.get",
    "auth.apiKeys.get",
    "auth.apiKeys.list",
    "auth.apiKeys.revoke",
    "auth.sessions.list",
    "auth.sessions.revoke",
    "ledger.history.read",
];

/// The roles there are.
#[derive(Debug)]
pub struct Roles {
    words: BTreeSet<String>,
    granted: Vec<Arc<Role>>,
    sealed: Arc<Role>,
    oneself: Arc<Role>,
    itself: Arc<Role>,
}

impl Roles {
    /// The roles built in, derived from the contract's words, so that a new method falls in place by its verb.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<Roles> = LazyLock::new(|| {
            // A contract that does not load gives nobody any right; the process does not start with one anyway.
            let methods = Contract::embedded().map(Contract::methods).unwrap_or_default();
            let words = methods
                .iter()
                .flat_map(|method| std::iter::once(&method.permission).chain(&method.further_permissions));
            Roles::derive(words.map(String::as_str).filter(|word| !word.is_empty()))
        });
        &BUILT_IN
    }

    fn derive<'a>(permissions: impl Iterator<Item = &'a str> + Clone) -> Self {
        let role = |name: &str, description: &str, holds: &dyn Fn(&str) -> bool| {
            let permissions = permissions.clone().filter(|word| holds(word)).map(str::to_owned).collect();
            Arc::new(Role::new(format!("roles/{name}"), String::from(description), permissions))
        };
        let reads = |word: &str| STANDING.contains(&word) || (!governs(word) && is_reading(word));
        let works = |word: &str| reads(word) || (!governs(word) && WORKING.contains(&verb(word)));
        let manages = |word: &str| works(word) || MANAGING.contains(&word);
        let rescues = |word: &str| reads(word) || (!governs(word) && !is_sealed_off(word));
        let organizes = |word: &str| manages(word) || ORGANIZING.contains(&word);
        let mut granted = vec![
            role("viewer", "sees everything in a project and changes nothing", &reads),
            role("editor", "does the everyday work in a project", &works),
            role("manager", "works in a project and decides who else does", &manages),
        ];
        granted.extend(SPECIALISTS.iter().map(|specialist| {
            role(specialist.name, specialist.description, &|word| specialist.holds(word, reads(word)))
        }));
        granted.push(role("org-admin", "decides who works in an organization, and where", &organizes));
        granted.push(role("admin", "may do everything", &|_| true));
        Self {
            words: permissions.clone().map(str::to_owned).collect(),
            granted,
            sealed: role("break-glass", "works on anything in an emergency, and on access to it on nothing", &rescues),
            oneself: role("self", "what a user may do about themselves", &|word| ONESELF.contains(&word)),
            itself: role("self", "what a service account may do about itself", &|word| ITSELF.contains(&word)),
        }
    }

    /// Those that can be given: those of everyday work, each holding more than the one before; those of one duty; those
    /// that administer. The last may do everything.
    pub fn granted(&self) -> &[Arc<Role>] {
        &self.granted
    }

    /// A role that can be given, by its name `roles/{role}`.
    pub fn find(&self, name: &str) -> Option<&Arc<Role>> {
        self.granted.iter().find(|role| role.name == name)
    }

    /// The role that emergencies give, and nothing else.
    pub fn sealed(&self) -> &Arc<Role> {
        &self.sealed
    }

    /// A role that can be held, by its name: one that can be given, or the one that emergencies give.
    pub fn held(&self, name: &str) -> Option<&Arc<Role>> {
        self.find(name).or_else(|| (self.sealed.name == name).then_some(&self.sealed))
    }

    /// Whether a permission is a word of the contract.
    pub fn knows(&self, permission: &str) -> bool {
        self.words.contains(permission)
    }

    /// What a principal holds on itself without being given it.
    pub(crate) fn on_oneself(&self, principal: &str) -> &Arc<Role> {
        if principal.starts_with("serviceAccounts/") { &self.itself } else { &self.oneself }
    }
}

/// What no emergency opens: approvals, doing without them, and keys that things are signed with.
fn is_sealed_off(permission: &str) -> bool {
    matches!(verb(permission), "approve" | "override") || permission.contains(".signing.")
}

/// Whether a permission is about access and its records rather than about work. What was made from what is work, though
/// the ledger tells it.
pub(crate) fn governs(permission: &str) -> bool {
    permission.starts_with("auth.") || (permission.starts_with("ledger.") && !permission.starts_with("ledger.lineage."))
}

/// Whether using a permission changes nothing.
pub(crate) fn is_reading(permission: &str) -> bool {
    READING.contains(&verb(permission))
}

fn verb(permission: &str) -> &str {
    permission.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_of_work_holds_more_than_the_one_before() {
        let roles = ["viewer", "editor", "manager", "org-admin", "admin"];
        let roles = roles.map(|role| Roles::built_in().find(&format!("roles/{role}")).unwrap());
        for pair in roles.windows(2) {
            assert!(pair[0].permissions.is_subset(&pair[1].permissions), "{} in {}", pair[0].name, pair[1].name);
            assert!(pair[0].permissions.len() < pair[1].permissions.len(), "{} in {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn a_verb_nobody_has_judged_is_for_administrators_alone() {
        let roles = Roles::derive(["serving.deployments.rollout", "serving.deployments.get"].into_iter());
        let holders: Vec<_> = roles.granted().iter().filter(|role| role.holds("serving.deployments.rollout")).collect();
        assert_eq!(holders.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["roles/admin"]);
        assert!(roles.find("roles/viewer").unwrap().holds("serving.deployments.get"));
    }

    #[test]
    fn no_role_of_a_project_reaches_keys_or_people() {
        for role in ["viewer", "editor", "manager", "approver", "operator"].map(|role| format!("roles/{role}")) {
            let role = Roles::built_in().find(&role).unwrap();
            let found: Vec<_> =
                role.permissions().filter(|word| word.contains("apiKeys") || word.contains("users")).collect();
            assert_eq!(found, Vec::<&str>::new(), "{}", role.name);
        }
    }

    #[test]
    fn an_emergency_opens_neither_access_nor_audit_nor_keys_nor_approvals() {
        let roles = Roles::built_in();
        assert!(roles.sealed().holds("registry.versions.delete") && roles.sealed().holds("experiments.runs.delete"));
        for word in roles.sealed().permissions() {
            let is_ground = STANDING.contains(&word);
            assert!(is_ground || !(governs(word) || word.ends_with(".approve") || word.contains("igning")), "{word}");
        }
        assert!(roles.find("roles/break-glass").is_none(), "nobody gives it");
    }

    #[test]
    fn the_words_spelled_out_here_are_words_of_the_contract() {
        let admin = Roles::built_in().find("roles/admin").unwrap();
        for word in [MANAGING, ORGANIZING, STANDING, ONESELF, ITSELF].concat() {
            assert!(admin.holds(word), "{word} is no permission of the contract");
        }
    }
}
