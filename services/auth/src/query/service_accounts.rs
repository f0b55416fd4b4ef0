use cairn_contract::cairn::auth::v1::{ServiceAccount, service_account::State};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Error, Row};
use cairn_service::Page;

use super::{Query, moment, state_of, word_of};

const TABLE: &str = "service_accounts";
const COLUMNS: &str = "name, revision, title, description, state, create_time, update_time, organization";

impl Query {
    /// One service account, deleted or not.
    pub async fn service_account(&self, name: &str) -> Result<Option<ServiceAccount>, QueryFault> {
        self.one(TABLE, COLUMNS, name, read).await
    }

    /// A page of the service accounts that lie at or below `visible`: those in one state, or all but the deleted,
    /// and of one organization, or of all if it is empty.
    pub async fn service_accounts(
        &self,
        visible: &[Name],
        page: &Page,
        state: State,
        organization: &str,
    ) -> Result<Vec<ServiceAccount>, QueryFault> {
        let wanted = (visible, page, word_of(state.as_str_name()));
        let of_organization = (!organization.is_empty()).then_some(organization);
        self.principals(TABLE, COLUMNS, wanted, of_organization, read).await
    }
}

fn read(row: &Row<'_>) -> Result<ServiceAccount, Error> {
    let state = State::from_str_name(&state_of(row.get_ref(4)?.as_str()?));
    Ok(ServiceAccount {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        title: row.get(2)?,
        description: row.get(3)?,
        state: state.unwrap_or_default().into(),
        create_time: moment(row.get(5)?),
        update_time: moment(row.get(6)?),
        organization: row.get(7)?,
    })
}
