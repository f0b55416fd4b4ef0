use cairn_contract::cairn::auth::v1::{User, user::State};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, OptionalExtension, Row, named_params};

use super::{Query, VISIBLE, Visible, moment};
use crate::page::Page;

const COLUMNS: &str = "name, revision, state, create_time, update_time";

impl Query {
    /// One user, deleted or not, without what is known about the person.
    pub async fn user(&self, name: &str) -> Result<Option<User>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM users WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], read).optional()
        };
        self.model.query(query).await
    }

    /// A page of the users that lie at or below `visible`: those in one state, or all but the deleted.
    pub async fn users(&self, visible: &[Name], page: &Page, state: State) -> Result<Vec<User>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let state = word(state);
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM users WHERE name > :after \
                 AND CASE WHEN :state = '' THEN state <> 'deleted' ELSE state = :state END \
                 AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let found = select.query_map(
                named_params! {
                    ":after": after, ":state": state, ":rows": rows,
                    ":is_all": visible.is_all, ":prefixes": visible.prefixes,
                },
                read,
            )?;
            found.collect()
        };
        self.model.query(query).await
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Unspecified => "",
        State::Active => "active",
        State::Disabled => "disabled",
        State::Deleted => "deleted",
    }
}

fn read(row: &Row<'_>) -> Result<User, Error> {
    let state = match row.get_ref(2)?.as_str()? {
        "disabled" => State::Disabled,
        "deleted" => State::Deleted,
        _ => State::Active,
    };
    Ok(User {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        display_name: String::new(),
        email: String::new(),
        state: state.into(),
        create_time: moment(row.get(3)?),
        update_time: moment(row.get(4)?),
    })
}
