use cairn_contract::cairn::auth::v1::{ApiKey, api_key::State};
use cairn_kernel::Time;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, OptionalExtension, Row, named_params};
use cairn_service::Page;

use super::{Query, moment};

const COLUMNS: &str = "name, revision, title, scopes, permissions, expire_time, previous_secret_expire_time, \
                       revoke_time, is_bootstrap, create_time, last_use_time";

impl Query {
    /// One key as it is at `now`, without its secret, which nobody has.
    pub async fn key(&self, name: &str, now: Time) -> Result<Option<ApiKey>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM keys WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], |row| read(row, now)).optional()
        };
        self.model.query(query).await
    }

    /// A page of one principal's keys.
    pub async fn keys(
        &self,
        owner: &str,
        page: &Page,
        shows_revoked: bool,
        now: Time,
    ) -> Result<Vec<ApiKey>, QueryFault> {
        let (owner, after, rows) = (owner.to_owned(), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            // A key is named below its owner, so its owner's keys are one stretch of the primary key.
            let sql = format!(
                "SELECT {COLUMNS} FROM keys WHERE name > max(:after, :owner || '/') AND name < :owner || '0' \
                 AND (:shows_revoked OR revoke_time IS NULL) ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":after": after, ":owner": owner, ":shows_revoked": shows_revoked, ":rows": rows,
            };
            select.query_map(parameters, |row| read(row, now))?.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>, now: Time) -> Result<ApiKey, Error> {
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let time = |micros: Option<i64>| micros.map(Time::from_micros);
    let expire_time = time(row.get(5)?);
    let previous = time(row.get(6)?).filter(|until| now < *until);
    let revoke_time = time(row.get(7)?);
    let state = match (revoke_time, expire_time) {
        (Some(_), _) => State::Revoked,
        (None, Some(end)) if end <= now => State::Expired,
        _ => State::Active,
    };
    Ok(ApiKey {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        title: row.get(2)?,
        scopes: lines(row.get(3)?),
        permissions: lines(row.get(4)?),
        expire_time: expire_time.and_then(|time| moment(time.micros())),
        state: state.into(),
        secret: String::new(),
        previous_secret_expire_time: previous.and_then(|time| moment(time.micros())),
        create_time: moment(row.get(9)?),
        revoke_time: revoke_time.and_then(|time| moment(time.micros())),
        bootstrap: row.get(8)?,
        last_use_time: row.get::<_, Option<i64>>(10)?.and_then(moment),
    })
}
