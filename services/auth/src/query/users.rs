use cairn_contract::cairn::auth::v1::{User, user::State};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, Row, named_params};
use cairn_service::Page;

use super::{Query, VISIBLE, Visible, json, moment, state_of, word_of};

const TABLE: &str = "users";
const COLUMNS: &str = "name, revision, state, create_time, update_time";

impl Query {
    /// One user, deleted or not, without what is known about the person.
    pub async fn user(&self, name: &str) -> Result<Option<User>, QueryFault> {
        self.one(TABLE, COLUMNS, name, read).await
    }

    /// A page of the users that lie at or below `visible`: those in one state, or all but the deleted.
    pub async fn users(&self, visible: &[Name], page: &Page, state: State) -> Result<Vec<User>, QueryFault> {
        self.principals(TABLE, COLUMNS, (visible, page, word_of(state.as_str_name())), None, read).await
    }

    /// How many users lie at or below `visible` and are not deleted.
    pub async fn count_users(&self, visible: &[Name]) -> Result<usize, QueryFault> {
        let visible = Visible::of(visible);
        let query = move |connection: &Connection| {
            let sql = format!("SELECT count(*) FROM {TABLE} WHERE state <> 'deleted' AND {VISIBLE}");
            let parameters = named_params! { ":is_all": visible.is_all, ":prefixes": visible.prefixes };
            connection.prepare_cached(&sql)?.query_row(parameters, |row| row.get(0))
        };
        self.model.query(query).await
    }

    /// Users that lie at or below `visible` and are not deleted, of those that are named or of all: at most so many, after
    /// so many others.
    pub async fn some_users(
        &self,
        visible: &[Name],
        among: Option<Vec<String>>,
        (skipped, limit): (usize, usize),
    ) -> Result<Vec<User>, QueryFault> {
        let visible = Visible::of(visible);
        let query = move |connection: &Connection| {
            let named = match among {
                Some(_) => "name IN (SELECT value FROM json_each(:among))",
                None => ":among IS NULL",
            };
            let sql = format!(
                "SELECT {COLUMNS} FROM {TABLE} WHERE {named} AND state <> 'deleted' AND {VISIBLE} \
                 ORDER BY name LIMIT :rows OFFSET :skipped"
            );
            let among = among.map(|names| json(&names.iter().map(String::as_str).collect::<Vec<_>>()));
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            let (rows, skipped) = (number(limit), number(skipped));
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":among": among, ":rows": rows, ":skipped": skipped, ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            select.query_map(parameters, read)?.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>) -> Result<User, Error> {
    let state = State::from_str_name(&state_of(row.get_ref(2)?.as_str()?));
    Ok(User {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        display_name: String::new(),
        email: String::new(),
        state: state.unwrap_or_default().into(),
        create_time: moment(row.get(3)?),
        update_time: moment(row.get(4)?),
    })
}
