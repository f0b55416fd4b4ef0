use cairn_access::Roles;
use cairn_contract::cairn::auth::v1::Role;
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, Row, named_params};

use super::{Query, VISIBLE, Visible, moment};

const COLUMNS: &str = "name, revision, description, permissions, create_time, update_time, delete_time";

impl Query {
    /// One role of an organization, deleted or not.
    pub async fn role(&self, name: &str) -> Result<Option<Role>, QueryFault> {
        self.one("roles", COLUMNS, name, read).await
    }

    /// The next roles of an organization that lie at or below `visible` and are not deleted.
    pub async fn roles(&self, visible: &[Name], parent: &str, after: &str, rows: i64) -> Result<Vec<Role>, QueryFault> {
        let (visible, parent, after) = (Visible::of(visible), parent.to_owned(), after.to_owned());
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM roles WHERE name > max(:after, :parent || '/roles/') \
                 AND name < :parent || '/roles0' AND delete_time IS NULL AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":after": after, ":parent": parent, ":rows": rows,
                ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            select.query_map(parameters, read)?.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>) -> Result<Role, Error> {
    let words: String = row.get(3)?;
    let permissions: Vec<String> = words.lines().map(str::to_owned).collect();
    let unknown = permissions.iter().filter(|word| !Roles::built_in().knows(word));
    Ok(Role {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        description: row.get(2)?,
        unknown_permissions: unknown.cloned().collect(),
        permissions,
        create_time: moment(row.get(4)?),
        update_time: moment(row.get(5)?),
        delete_time: row.get::<_, Option<i64>>(6)?.and_then(moment),
    })
}
