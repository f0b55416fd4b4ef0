use cairn_contract::cairn::config::v1::{ConfigRevision, EntryChange};
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{self, OptionalExtension, Row, params};
use cairn_service::Page;

use super::{Query, moment};
use crate::grpc::value;
use crate::model::{EnvironmentName, Json};

const COLUMNS: &str = "environment, revision, author, reason, changes, rolled_back_to, create_time";

impl Query {
    /// One revision.
    pub async fn revision(
        &self,
        environment: &EnvironmentName,
        number: u32,
    ) -> Result<Option<ConfigRevision>, QueryFault> {
        let environment = environment.to_string();
        self.ask(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM revisions WHERE environment = ?1 AND revision = ?2");
            db.prepare_cached(&sql)?.query_row(params![environment, number], read).optional()
        })
        .await
    }

    /// A page of revisions, newest first. The page goes on below a number.
    pub async fn revisions(
        &self,
        environment: &EnvironmentName,
        page: &Page,
    ) -> Result<Vec<ConfigRevision>, QueryFault> {
        let (environment, rows) = (environment.to_string(), page.rows());
        let below = page.after.parse().unwrap_or(i64::MAX);
        self.ask(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM revisions WHERE environment = ?1 AND revision < ?2 \
                 ORDER BY revision DESC LIMIT ?3"
            );
            db.prepare_cached(&sql)?.query_map(params![environment, below, rows], read)?.collect()
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<ConfigRevision> {
    let environment = EnvironmentName::stored(row.get::<_, String>(0)?);
    let revision = row.get(1)?;
    let changes: Vec<(String, Option<String>)> = serde_json::from_str(row.get_ref(4)?.as_str()?).unwrap_or_default();
    let change = |(key, text): (String, Option<String>)| EntryChange {
        key,
        value: text.map(|text| value::shown(Json::stored(&text).value())),
    };
    Ok(ConfigRevision {
        name: environment.revision(revision),
        revision,
        author: row.get(2)?,
        reason: row.get(3)?,
        create_time: moment(row.get(6)?),
        changes: changes.into_iter().map(change).collect(),
        rolled_back_to: row.get(5)?,
    })
}
