use cairn_contract::cairn::auth::v1::{Group, group::State};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, Row, named_params};
use cairn_service::Page;

use super::{Query, VISIBLE, Visible, moment};

const COLUMNS: &str =
    "name, revision, display_name, description, external_id, state, member_count, create_time, update_time";

/// Which groups of an organization a list wants. Empty texts want all.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    /// organizations/{organization}
    pub parent: String,
    /// Who is in it, directly.
    pub member: String,
    pub external_id: String,
    pub display_name: String,
}

impl Query {
    /// One group, deleted or not.
    pub async fn group(&self, name: &str) -> Result<Option<Group>, QueryFault> {
        self.one("groups", COLUMNS, name, read).await
    }

    /// A page of an organization's groups that lie at or below `visible` and are not deleted.
    pub async fn groups(&self, visible: &[Name], page: &Page, filter: &GroupFilter) -> Result<Vec<Group>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let filter = filter.clone();
        let query = move |connection: &Connection| {
            // Groups are named below their organization, so they are one stretch of the primary key.
            let sql = format!(
                "SELECT {COLUMNS} FROM groups WHERE name > max(:after, :parent || '/groups/') \
                 AND name < :parent || '/groups0' AND state <> 'deleted' \
                 AND (:member = '' OR EXISTS (SELECT 1 FROM group_members \
                      WHERE member = :member AND group_name = groups.name)) \
                 AND (:external_id = '' OR external_id = :external_id) \
                 AND (:display_name = '' OR display_name = :display_name) \
                 AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":after": after, ":rows": rows, ":parent": filter.parent, ":member": filter.member,
                ":external_id": filter.external_id, ":display_name": filter.display_name,
                ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            select.query_map(parameters, read)?.collect()
        };
        self.model.query(query).await
    }

    /// A page of the names of those who are in a group, directly.
    pub async fn group_members(&self, group: &str, page: &Page) -> Result<Vec<String>, QueryFault> {
        let (group, after, rows) = (group.to_owned(), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            let sql = "SELECT member FROM group_members WHERE group_name = :group AND member > :after \
                       ORDER BY member LIMIT :rows";
            let mut select = connection.prepare_cached(sql)?;
            let parameters = named_params! { ":group": group, ":after": after, ":rows": rows };
            select.query_map(parameters, |row| row.get(0))?.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>) -> Result<Group, Error> {
    let state = match row.get_ref(5)?.as_str()? {
        "deleted" => State::Deleted,
        _ => State::Active,
    };
    Ok(Group {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        display_name: row.get(2)?,
        description: row.get(3)?,
        external_id: row.get(4)?,
        state: state.into(),
        member_count: row.get(6)?,
        create_time: moment(row.get(7)?),
        update_time: moment(row.get(8)?),
    })
}
