use cairn_kernel::{Name, NameFault, newtype};

/// Most characters in a title or display name.
pub const TITLE_CHARS_MAX: usize = 200;
/// Most characters in a description.
pub const PROSE_CHARS_MAX: usize = 4_000;
/// Most characters in a reason.
pub const REASON_CHARS_MAX: usize = 1_000;
/// What belongs to no other organization belongs to this one.
const DEFAULT_ORGANIZATION: &str = "organizations/default";

newtype!(
    /// `projects/{project}`
    ProjectName, "project name", |text| has_shape(text, &["projects/*"])
);
newtype!(
    /// `users/{user}`
    UserName, "user name", |text| has_shape(text, &["users/*"])
);
newtype!(
    /// `serviceAccounts/{service_account}`
    ServiceAccountName, "service account name", |text| has_shape(text, &["serviceAccounts/*"])
);
newtype!(
    /// Who can hold roles and keys: `users/{user}` or `serviceAccounts/{service_account}`.
    PrincipalName, "principal", |text| has_shape(text, &["users/*", "serviceAccounts/*"])
);
newtype!(
    /// `organizations/{organization}`
    OrganizationName, "organization name", |text| has_shape(text, &["organizations/*"])
);
newtype!(
    /// `organizations/{organization}/groups/{group}`
    GroupName, "group name", |text| has_shape(text, &["organizations/*/groups/*"])
);
newtype!(
    /// `organizations/{organization}/breakGlassActivations/{activation}`
    ActivationName, "break-glass activation name", |text| has_shape(text, &["organizations/*/breakGlassActivations/*"])
);
newtype!(
    /// Who can hold roles and be in a group: a user, a service account or a group.
    HolderName, "principal or group", |text| {
        has_shape(text, &["users/*", "serviceAccounts/*", "organizations/*/groups/*"])
    }
);
newtype!(
    /// `{principal}/apiKeys/{key}`
    KeyName, "API key name", |text| has_shape(text, &["users/*/apiKeys/*", "serviceAccounts/*/apiKeys/*"])
);
newtype!(
    /// `bindings/{binding}`, or `projects/{project}/bindings/{binding}` when the resource lies in a project, or the same
    /// below an organization.
    BindingName, "binding name", |text| {
        has_shape(text, &["bindings/*", "projects/*/bindings/*", "organizations/*/bindings/*"])
    }
);
newtype!(
    /// `roles/{role}`, or `organizations/{organization}/roles/{role}`
    RoleName, "role name", |text| has_shape(text, &["roles/*", "organizations/*/roles/*"])
);
newtype!(
    /// `organizations/{organization}/guardrails/{guardrail}`
    GuardrailName, "guardrail name", |text| has_shape(text, &["organizations/*/guardrails/*"])
);
newtype!(
    /// The key or the value of a tag: 1 to 63 letters, digits, dashes, dots and underscores.
    TagText, "tag", |text| {
        (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    }
);
newtype!(
    /// An id that people choose: 2 to 63 lower case letters, digits and dashes, beginning with a letter and not ending
    /// with a dash. Fit for a label in DNS, so that a project can become a host name or a namespace.
    Slug, "id", |text| {
        (2..=63).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }
);

impl KeyName {
    /// A key of `owner`.
    pub fn of(owner: &PrincipalName, id: &str) -> Self {
        Self::stored(format!("{owner}/apiKeys/{id}"))
    }

    /// Its id, which is public.
    pub fn id(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }
}

impl BindingName {
    /// A binding on `resource`: named below the project or organization that the resource lies in, if it lies in one.
    pub fn on(resource: &Name, id: &str) -> Self {
        match resource.project().or_else(|| organization_in(resource)) {
            Some(above) => Self::stored(format!("{above}/bindings/{id}")),
            None => Self::stored(format!("bindings/{id}")),
        }
    }
}

impl OrganizationName {
    /// Whether it is the one that is there without having been created.
    pub fn is_default(&self) -> bool {
        self.as_str() == DEFAULT_ORGANIZATION
    }

    /// What its parts are named below.
    pub fn name(&self) -> Name {
        self.as_str().parse().expect("an organization's name is a name")
    }
}

impl GroupName {
    /// The organization that it belongs to.
    pub fn organization(&self) -> OrganizationName {
        above(self.as_str())
    }
}

impl ActivationName {
    /// Its id.
    pub fn id(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }
}

impl GuardrailName {
    /// The organization that it belongs to.
    pub fn organization(&self) -> OrganizationName {
        above(self.as_str())
    }
}

impl RoleName {
    /// The organization that made it; `None`: it is built in.
    pub fn organization(&self) -> Option<OrganizationName> {
        self.as_str().starts_with("organizations/").then(|| above(self.as_str()))
    }
}

impl HolderName {
    /// The group that it is.
    pub fn group(&self) -> Option<GroupName> {
        self.as_str().starts_with("organizations/").then(|| GroupName::stored(self.as_str()))
    }

    /// The user or service account that it is.
    pub fn principal(&self) -> Option<PrincipalName> {
        self.group().is_none().then(|| PrincipalName::stored(self.as_str()))
    }
}

impl From<&PrincipalName> for HolderName {
    fn from(principal: &PrincipalName) -> Self {
        Self::stored(principal.as_str())
    }
}

/// The organization that a name lies in, as its first two segments say.
pub fn organization_in(name: &Name) -> Option<Name> {
    let mut segments = name.segments();
    match (segments.next(), segments.next()) {
        (Some("organizations"), Some(id)) => format!("organizations/{id}").parse().ok(),
        _ => None,
    }
}

fn above(name: &str) -> OrganizationName {
    let mut parts = name.split('/');
    OrganizationName::stored(format!("organizations/{}", parts.nth(1).unwrap_or_default()))
}

impl PrincipalName {
    /// Whether it is a user's.
    pub fn is_user(&self) -> bool {
        self.as_str().starts_with("users/")
    }
}

impl From<&UserName> for PrincipalName {
    fn from(user: &UserName) -> Self {
        Self::stored(user.as_str())
    }
}

impl From<&ServiceAccountName> for PrincipalName {
    fn from(account: &ServiceAccountName) -> Self {
        Self::stored(account.as_str())
    }
}

/// Words for people, at most `CHARS_MAX` characters and without control characters other than line breaks and tabs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<const CHARS_MAX: usize>(String);

impl<const CHARS_MAX: usize> Text<CHARS_MAX> {
    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a stored text. History obeys older rules, so nothing is checked.
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl<const CHARS_MAX: usize> std::str::FromStr for Text<CHARS_MAX> {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
        if text.chars().count() <= CHARS_MAX && text.chars().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameFault::invalid("text (it is too long, or holds control characters)", text))
        }
    }
}

pub(super) fn has_shape(text: &str, patterns: &[&str]) -> bool {
    text.parse::<Name>().is_ok_and(|name| patterns.iter().any(|pattern| name.matches(pattern).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_shape_each() {
        assert!("projects/fraud".parse::<ProjectName>().is_ok());
        for text in ["projects", "projects/", "projects/a/b", "project/a", "projects/a/runs/b", "*", "projects/../b"] {
            assert!(text.parse::<ProjectName>().is_err(), "{text}");
        }
        assert!("users/u-1/apiKeys/k".parse::<KeyName>().is_ok());
        assert!("projects/p/apiKeys/k".parse::<KeyName>().is_err());
    }

    #[test]
    fn an_id_chosen_by_people_could_be_a_host_name() {
        for good in ["ab", "fraud", "team-7", &"a".repeat(63)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "a", "7a", "-a", "a-", "A", "fraud_2", "frаud", "a b", &"a".repeat(64)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_binding_is_named_below_the_project_it_is_about() {
        let on = |resource: &str| BindingName::on(&resource.parse().unwrap(), "b").to_string();
        assert_eq!(on("projects/fraud/experiments/7"), "projects/fraud/bindings/b");
        assert_eq!(on("*"), "bindings/b");
        assert_eq!(on("users/u-1"), "bindings/b");
        assert_eq!(on("organizations/acme/groups/g"), "organizations/acme/bindings/b");
        assert!(on("organizations/acme").parse::<BindingName>().is_ok());
        assert!(on("projects/fraud").parse::<BindingName>().is_ok());
    }
}
