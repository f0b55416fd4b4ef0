use cairn_contract::cairn::auth::events::v1::BindingCondition;
use cairn_contract::cairn::auth::v1::binding::{Effect, Source};
use cairn_contract::cairn::auth::v1::{Binding, Condition, condition::Window};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, Row, named_params};
use cairn_service::Page;
use prost::Message;

use super::{Query, VISIBLE, Visible, moment};

const COLUMNS: &str = "name, revision, principal, role, resource, expire_time, reason, create_time, creator, delete_time, \
     denies, permissions, source, condition";

/// Which bindings a list wants. Empty texts want all.
#[derive(Clone, Debug, Default)]
pub struct BindingFilter {
    pub principal: String,
    pub role: String,
    /// On this resource or below it.
    pub resource: Name,
}

impl Query {
    /// One binding, withdrawn or not.
    pub async fn binding(&self, name: &str) -> Result<Option<Binding>, QueryFault> {
        self.one("bindings", COLUMNS, name, read).await
    }

    /// A page of the bindings that lie at or below `visible` and have not been withdrawn.
    pub async fn bindings(
        &self,
        visible: &[Name],
        page: &Page,
        filter: &BindingFilter,
    ) -> Result<Vec<Binding>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let filter = filter.clone();
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM bindings WHERE name > :after AND delete_time IS NULL \
                 AND (:principal = '' OR principal = :principal) AND (:role = '' OR role = :role) \
                 AND (:resource = '' OR resource = :resource \
                      OR substr(resource, 1, length(:resource) + 1) = :resource || '/') \
                 AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let found = select.query_map(
                named_params! {
                    ":after": after, ":rows": rows, ":principal": filter.principal, ":role": filter.role,
                    ":resource": filter.resource.as_str(), ":is_all": visible.is_all, ":prefixes": visible.prefixes,
                },
                read,
            )?;
            found.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>) -> Result<Binding, Error> {
    let (resource, permissions): (String, String) = (row.get(4)?, row.get(11)?);
    let source = match row.get_ref(12)?.as_str()? {
        "idp" => Source::Idp,
        "break_glass" => Source::BreakGlass,
        _ => Source::Manual,
    };
    // What was stored reads: the same program folded it.
    let condition =
        row.get_ref(13)?.as_blob_or_null()?.map(|bytes| BindingCondition::decode(bytes).unwrap_or_default());
    Ok(Binding {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        principal: row.get(2)?,
        role: row.get(3)?,
        resource: if resource.is_empty() { Name::ROOT.to_string() } else { resource },
        expire_time: row.get::<_, Option<i64>>(5)?.and_then(moment),
        reason: row.get(6)?,
        create_time: moment(row.get(7)?),
        creator: row.get(8)?,
        delete_time: row.get::<_, Option<i64>>(9)?.and_then(moment),
        effect: if row.get(10)? { Effect::Deny } else { Effect::Allow }.into(),
        permissions: permissions.lines().map(str::to_owned).collect(),
        condition: condition.map(shown),
        source: source.into(),
    })
}

/// A stored condition, in the words of the contract.
fn shown(stored: BindingCondition) -> Condition {
    let hour = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let windows = stored.windows.into_iter().map(|window| Window {
        days: window.days.into_iter().filter_map(|day| i32::try_from(day).ok()).collect(),
        start: hour(window.start_minute),
        end: hour(window.end_minute),
    });
    Condition {
        windows: windows.collect(),
        source_networks: stored.source_networks,
        project_tags: stored.project_tags,
        start_time: stored.start_time,
    }
}
