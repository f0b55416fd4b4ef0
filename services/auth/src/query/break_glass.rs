use cairn_contract::cairn::auth::v1::{BreakGlassActivation, break_glass_activation::State as Told};
use cairn_kernel::{Name, Time};
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{Connection, Error, OptionalExtension, Row, named_params};
use cairn_service::Page;

use super::{Query, VISIBLE, Visible, moment};
use crate::model::break_glass::{State, state};

const COLUMNS: &str = "name, revision, principal, resource, reason, ticket, life, activate_time, approver, start_time, \
                       expire_time, end_time, review_due_time, review_time, reviewer, review, create_time, update_time";

impl Query {
    /// One emergency as it stands at `now`.
    pub async fn activation(&self, name: &str, now: Time) -> Result<Option<BreakGlassActivation>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {COLUMNS} FROM break_glass WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], |row| read(row, now)).optional()
        };
        self.model.query(query).await
    }

    /// A page of an organization's emergencies that lie at or below `visible`: all, or those that somebody should have
    /// looked at by `now`.
    pub async fn activations(
        &self,
        visible: &[Name],
        page: &Page,
        (parent, is_overdue): (&str, bool),
        now: Time,
    ) -> Result<Vec<BreakGlassActivation>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let parent = parent.to_owned();
        let query = move |connection: &Connection| {
            // Named below their organization, so they are one stretch of the primary key.
            let sql = format!(
                "SELECT {COLUMNS} FROM break_glass WHERE name > max(:after, :parent || '/breakGlassActivations/') \
                 AND name < :parent || '/breakGlassActivations0' \
                 AND (NOT :is_overdue OR (review_time IS NULL AND review_due_time <= :now)) \
                 AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":after": after, ":parent": parent, ":rows": rows, ":is_overdue": is_overdue, ":now": now.micros(),
                ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            select.query_map(parameters, |row| read(row, now))?.collect()
        };
        self.model.query(query).await
    }
}

fn read(row: &Row<'_>, now: Time) -> Result<BreakGlassActivation, Error> {
    let time = |column: usize| Ok::<_, Error>(row.get::<_, Option<i64>>(column)?.map(Time::from_micros));
    let shown = |time: Option<Time>| time.and_then(|time| moment(time.micros()));
    let (expire_time, end_time, due) = (time(10)?, time(11)?, time(12)?);
    let review_time = time(13)?;
    let (activate_time, create_time) = (Time::from_micros(row.get(7)?), Time::from_micros(row.get(16)?));
    let state = match state(activate_time, expire_time, end_time.is_some(), now) {
        State::Requested => Told::Requested,
        State::Active => Told::Active,
        State::Ended => Told::Ended,
        State::Lapsed => Told::Lapsed,
    };
    let life: i64 = row.get(6)?;
    Ok(BreakGlassActivation {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        principal: row.get(2)?,
        resource: row.get(3)?,
        reason: row.get(4)?,
        ticket: row.get(5)?,
        duration: Some(prost_types::Duration {
            seconds: life / 1_000_000,
            nanos: i32::try_from(life % 1_000_000).unwrap_or_default() * 1000,
        }),
        state: state.into(),
        activate_time: shown(Some(activate_time)),
        approver: row.get(8)?,
        start_time: shown(time(9)?),
        expire_time: shown(expire_time),
        end_time: shown(end_time),
        review_due_time: shown(due),
        review_time: shown(review_time),
        reviewer: row.get(14)?,
        review: row.get(15)?,
        overdue: review_time.is_none() && due.is_some_and(|due| due <= now),
        create_time: shown(Some(create_time)),
        update_time: shown(time(17)?),
    })
}
