use cairn_contract::cairn::auth::v1::{Project, project::State};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, Row, named_params};

use super::{Query, VISIBLE, Visible, moment};
use crate::page::Page;

const COLUMNS: &str = "name, revision, title, description, state, create_time, update_time";

impl Query {
    /// One project, deleted or not.
    pub async fn project(&self, name: &str) -> Result<Option<Project>, QueryFault> {
        self.one("projects", COLUMNS, name, read).await
    }

    /// A page of the projects that lie at or below `visible`.
    pub async fn projects(
        &self,
        visible: &[Name],
        page: &Page,
        shows_deleted: bool,
    ) -> Result<Vec<Project>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM projects WHERE name > :after AND (:shows_deleted OR state <> 'deleted') \
                 AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let found = select.query_map(
                named_params! {
                    ":after": after, ":shows_deleted": shows_deleted, ":rows": rows,
                    ":is_all": visible.is_all, ":prefixes": visible.prefixes,
                },
                read,
            )?;
            found.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>) -> Result<Project, Error> {
    let state = match row.get_ref(4)?.as_str()? {
        "deleted" => State::Deleted,
        _ => State::Active,
    };
    Ok(Project {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        title: row.get(2)?,
        description: row.get(3)?,
        state: state.into(),
        create_time: moment(row.get(5)?),
        update_time: moment(row.get(6)?),
    })
}
