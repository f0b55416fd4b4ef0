use crate::model::OrganizationName;
use crate::public::Public;

/// The address that a directory was given: what it is shown lies below it.
#[derive(Clone, Debug)]
pub struct Base {
    url: String,
    pub organization: OrganizationName,
}

const DEFAULT: &str = "organizations/default";

impl Base {
    /// Of the organization in the path; empty: the default one, which has the shorter address.
    pub fn of(public: &Public, organization: &str) -> Self {
        let root = public.path("/scim/v2");
        match organization {
            "" => Self { url: root, organization: OrganizationName::stored(DEFAULT) },
            named => Self { url: format!("{root}/{named}"), organization: OrganizationName::stored(named) },
        }
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}
