use cairn_contract::cairn::config::v1::Schema;
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{self, OptionalExtension, Row, params};
use cairn_service::Page;

use super::{Query, moment};
use crate::grpc::value;
use crate::model::{Json, SchemaName};

const COLUMNS: &str = "name, key, schema, author, set_time";

impl Query {
    /// The schema of a key, if it has one.
    pub async fn schema(&self, name: &SchemaName) -> Result<Option<Schema>, QueryFault> {
        let name = name.to_string();
        self.ask(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM schemas WHERE name = ?1");
            db.prepare_cached(&sql)?.query_row([name], read).optional()
        })
        .await
    }

    /// A page of the schemas of a scope.
    pub async fn schemas(&self, scope: &Name, page: &Page) -> Result<Vec<Schema>, QueryFault> {
        let (scope, after, rows) = (scope.as_str().to_owned(), page.after.clone(), page.rows());
        self.ask(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM schemas WHERE scope = ?1 AND name > ?2 ORDER BY name LIMIT ?3");
            db.prepare_cached(&sql)?.query_map(params![scope, after, rows], read)?.collect()
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Schema> {
    Ok(Schema {
        name: row.get(0)?,
        key: row.get(1)?,
        schema: Some(value::shown(Json::stored(row.get_ref(2)?.as_str()?).value())),
        author: row.get(3)?,
        set_time: moment(row.get(4)?),
    })
}
