use cairn_contract::cairn::auth::events::v1::{ProjectClassified, ProjectQuotaSet};
use cairn_contract::cairn::auth::v1::{Project, ProjectQuota, project::State};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, Row, named_params};
use cairn_service::Page;
use prost::Message;

use super::{Query, VISIBLE, Visible, moment};

const COLUMNS: &str = "name, revision, title, description, state, create_time, update_time, organization, tags";

impl Query {
    /// One project, deleted or not.
    pub async fn project(&self, name: &str) -> Result<Option<Project>, QueryFault> {
        self.one("projects", COLUMNS, name, read).await
    }

    /// How much a project may take up.
    pub async fn quota(&self, name: &str) -> Result<Option<ProjectQuota>, QueryFault> {
        self.one("projects", "name, revision, quota", name, read_quota).await
    }

    /// A page of the projects that lie at or below `visible`: of one organization, or of all if it is empty.
    pub async fn projects(
        &self,
        visible: &[Name],
        page: &Page,
        (organization, shows_deleted): (&str, bool),
    ) -> Result<Vec<Project>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let organization = organization.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM projects WHERE name > :after AND (:shows_deleted OR state <> 'deleted') \
                 AND (:organization = '' OR organization = :organization) AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let found = select.query_map(
                named_params! {
                    ":after": after, ":shows_deleted": shows_deleted, ":rows": rows,
                    ":organization": organization,
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
        organization: row.get(7)?,
        // What was stored reads: the same program folded it.
        tags: ProjectClassified::decode(row.get_ref(8)?.as_blob()?).unwrap_or_default().tags,
    })
}

fn read_quota(row: &Row<'_>) -> Result<ProjectQuota, Error> {
    // As above: the same program folded it.
    let set = ProjectQuotaSet::decode(row.get_ref(2)?.as_blob()?).unwrap_or_default();
    Ok(ProjectQuota {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        runs_max: set.runs_max,
        concurrent_runs_max: set.concurrent_runs_max,
        storage_bytes_max: set.storage_bytes_max,
        requests_per_second: set.requests_per_second,
    })
}
