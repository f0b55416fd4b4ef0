use cairn_contract::cairn::config::v1::Environment;
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{self, OptionalExtension, Row, named_params};
use cairn_service::Page;

use super::{Query, VISIBLE, Visible, moment};
use crate::model::EnvironmentName;

const COLUMNS: &str = "name, inherits, description, revision, is_deleted, create_time, update_time";

impl Query {
    /// One environment, deleted or not.
    pub async fn environment(&self, name: &EnvironmentName) -> Result<Option<Environment>, QueryFault> {
        let name = name.to_string();
        self.ask(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM environments WHERE name = ?1");
            db.prepare_cached(&sql)?.query_row([name], read).optional()
        })
        .await
    }

    /// A page of the environments at or below `under` that lie at or below `visible`.
    pub async fn environments(
        &self,
        under: &Name,
        visible: &[Name],
        page: &Page,
    ) -> Result<Vec<Environment>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let prefix = if under.is_root() { String::new() } else { format!("{under}/") };
        self.ask(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM environments WHERE name > :after AND NOT is_deleted \
                 AND substr(name, 1, length(:prefix)) = :prefix AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let parameters = named_params! {
                ":after": after.max(prefix.clone()), ":prefix": prefix, ":rows": rows,
                ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            db.prepare_cached(&sql)?.query_map(parameters, read)?.collect()
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Environment> {
    let revision: u32 = row.get(3)?;
    Ok(Environment {
        name: row.get(0)?,
        etag: revision.to_string(),
        inherits: row.get(1)?,
        description: row.get(2)?,
        revision,
        deleted: row.get(4)?,
        create_time: moment(row.get(5)?),
        update_time: moment(row.get(6)?),
    })
}
