use cairn_access::DEFAULT_ORGANIZATION;
use cairn_contract::cairn::auth::events::v1::OrganizationDutiesSeparated;
use cairn_contract::cairn::auth::v1::{Organization, SeparatedDuties, organization::State};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, OptionalExtension, Row, named_params};
use cairn_service::Page;
use prost::Message;

use super::{Query, VISIBLE, Visible, moment};

const COLUMNS: &str = "name, revision, title, description, state, separated, create_time, update_time";

/// The table, and the default organization if nothing has been said of it yet: it is there all the same.
const ALL: &str = "(SELECT name, revision, title, description, state, separated, create_time, update_time \
     FROM organizations UNION ALL SELECT :default, NULL, '', '', 'active', x'', NULL, NULL \
     WHERE NOT EXISTS (SELECT 1 FROM organizations WHERE name = :default))";

impl Query {
    /// One organization, deleted or not.
    pub async fn organization(&self, name: &str) -> Result<Option<Organization>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM {ALL} WHERE name = :name");
            let parameters = named_params! { ":default": DEFAULT_ORGANIZATION, ":name": name };
            connection.prepare_cached(&sql)?.query_row(parameters, read).optional()
        };
        self.model.query(query).await
    }

    /// A page of the organizations that lie at or below `visible`.
    pub async fn organizations(
        &self,
        visible: &[Name],
        page: &Page,
        shows_deleted: bool,
    ) -> Result<Vec<Organization>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM {ALL} WHERE name > :after AND (:shows_deleted OR state <> 'deleted') \
                 AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":default": DEFAULT_ORGANIZATION, ":after": after, ":shows_deleted": shows_deleted, ":rows": rows,
                ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            select.query_map(parameters, read)?.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>) -> Result<Organization, Error> {
    let state = match row.get_ref(4)?.as_str()? {
        "deleted" => State::Deleted,
        _ => State::Active,
    };
    // What was stored reads: the same program folded it.
    let separated = OrganizationDutiesSeparated::decode(row.get_ref(5)?.as_blob()?).unwrap_or_default();
    let separated = separated.pairs.into_iter().map(|pair| SeparatedDuties {
        role: pair.role,
        other_role: pair.other_role,
        reason: pair.reason,
    });
    Ok(Organization {
        name: row.get(0)?,
        etag: row.get::<_, Option<i64>>(1)?.map(|revision| revision.to_string()).unwrap_or_default(),
        title: row.get(2)?,
        description: row.get(3)?,
        state: state.into(),
        create_time: row.get::<_, Option<i64>>(6)?.and_then(moment),
        update_time: row.get::<_, Option<i64>>(7)?.and_then(moment),
        separated_duties: separated.collect(),
    })
}
