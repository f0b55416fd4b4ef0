use cairn_service::field;
use tonic::Status;

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
    pub fn of(public: &Public, organization: &str) -> Result<Self, Status> {
        let root = public.path("/scim/v2");
        let url = if organization.is_empty() { root } else { format!("{root}/{organization}") };
        let organization = if organization.is_empty() { DEFAULT } else { organization };
        Ok(Self { url, organization: field("organization", organization)? })
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}
