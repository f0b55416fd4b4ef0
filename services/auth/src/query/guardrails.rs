use cairn_contract::cairn::auth::events::v1::GuardrailCreated;
use cairn_contract::cairn::auth::v1::Guardrail;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, Row, named_params};
use cairn_service::Page;
use prost::Message;

use super::{Query, moment};

const COLUMNS: &str = "name, revision, definition, create_time, update_time, delete_time";

impl Query {
    /// One guardrail, deleted or not.
    pub async fn guardrail(&self, name: &str) -> Result<Option<Guardrail>, QueryFault> {
        self.one("guardrails", COLUMNS, name, read).await
    }

    /// A page of the guardrails of an organization that are not deleted.
    pub async fn guardrails(&self, parent: &str, page: &Page) -> Result<Vec<Guardrail>, QueryFault> {
        let (parent, after, rows) = (parent.to_owned(), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM guardrails WHERE name > max(:after, :parent || '/guardrails/') \
                 AND name < :parent || '/guardrails0' AND delete_time IS NULL ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            select.query_map(named_params! { ":after": after, ":parent": parent, ":rows": rows }, read)?.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>) -> Result<Guardrail, Error> {
    // What was stored reads, and both events that define it have the same fields.
    let definition = GuardrailCreated::decode(row.get_ref(2)?.as_blob()?).unwrap_or_default();
    Ok(Guardrail {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        description: definition.description,
        policy: definition.policy,
        template: definition.template,
        parameters: definition.parameters,
        create_time: moment(row.get(3)?),
        update_time: moment(row.get(4)?),
        delete_time: row.get::<_, Option<i64>>(5)?.and_then(moment),
    })
}
