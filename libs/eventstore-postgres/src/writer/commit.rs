use cairn_eventstore::Retention;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::dial::Link;
use crate::plan::{End, Plan};
use crate::pool::Parameters;
use crate::row::number;
use crate::tables::Statements;

/// The rows of a plan by column, as they are sent.
struct Columns<'a> {
    base: i64,
    time: i64,
    streams: Vec<i64>,
    revisions: Vec<i64>,
    kinds: Vec<i32>,
    ids: Vec<Uuid>,
    metadata: Vec<&'a [u8]>,
    payloads: Vec<&'a [u8]>,
}

/// Writes a plan into the open transaction and commits it.
///
/// Everything is sent at once, the commit with it, so that the lock is held for one round trip and the sync. Where one
/// statement fails, the server refuses those after it and the commit with them.
pub(super) async fn commit(link: &Link, sql: &Statements, start: &End, plan: &Plan) -> Result<(), Error> {
    if plan.is_idle() {
        return link.batch_execute("COMMIT").await;
    }
    let columns = Columns::of(start, plan);
    let (kind_numbers, kind_names): (Vec<i32>, Vec<&str>) =
        plan.kinds.iter().map(|(number, name)| (*number, &**name)).unzip();
    let stream_numbers: Vec<i64> = plan.streams.iter().map(|(number, _)| *number).collect();
    let stream_names: Vec<&str> = plan.streams.iter().map(|(_, name)| name.as_str()).collect();
    let categories: Vec<&str> = plan.streams.iter().map(|(_, name)| name.category()).collect();
    let retained: Vec<i64> = plan.retentions.iter().map(|(number, _)| *number).collect();
    let ages: Vec<Option<i64>> = plan.retentions.iter().map(|(_, retention)| max_age(retention)).collect();
    let counts: Vec<Option<i64>> = plan.retentions.iter().map(|(_, kept)| kept.max_count.map(number)).collect();

    let kinds: &Parameters<'_> = &[(&kind_numbers, Type::INT4_ARRAY), (&kind_names, Type::TEXT_ARRAY)];
    let streams: &Parameters<'_> =
        &[(&stream_numbers, Type::INT8_ARRAY), (&stream_names, Type::TEXT_ARRAY), (&categories, Type::TEXT_ARRAY)];
    let retentions: &Parameters<'_> =
        &[(&retained, Type::INT8_ARRAY), (&ages, Type::INT8_ARRAY), (&counts, Type::INT8_ARRAY)];
    let events = columns.parameters();
    let end = end_sql(sql, &plan.end, plan.events.is_empty());
    let mut statements: Vec<BoxFuture<'_, Result<(), Error>>> = vec![];
    if !plan.kinds.is_empty() {
        statements.push(link.execute_typed(&sql.insert_kinds, kinds).map(|done| done.map(drop)).boxed());
    }
    if !plan.streams.is_empty() {
        statements.push(link.execute_typed(&sql.insert_streams, streams).map(|done| done.map(drop)).boxed());
    }
    if !plan.events.is_empty() {
        statements.push(link.execute_typed(&sql.insert_events, &events).map(|done| done.map(drop)).boxed());
    }
    if !plan.retentions.is_empty() {
        statements.push(link.execute_typed(&sql.retain, retentions).map(|done| done.map(drop)).boxed());
    }
    statements.push(link.batch_execute(&end).boxed());
    // Each is sent when it is first asked for, and they are asked in their order.
    join_all(statements).await.into_iter().collect()
}

impl<'a> Columns<'a> {
    fn of(start: &End, plan: &'a Plan) -> Self {
        let events = || plan.events.iter().map(|planned| &planned.fresh.event);
        Self {
            base: number(start.position),
            time: plan.end.time.micros(),
            streams: plan.events.iter().map(|planned| planned.stream).collect(),
            revisions: events().map(|event| number(event.revision.0)).collect(),
            kinds: plan.events.iter().map(|planned| planned.kind).collect(),
            ids: events().map(|event| event.id).collect(),
            metadata: events().map(|event| &event.metadata[..]).collect(),
            payloads: events().map(|event| &event.payload[..]).collect(),
        }
    }

    fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 8] {
        [
            (&self.base, Type::INT8),
            (&self.time, Type::INT8),
            (&self.streams, Type::INT8_ARRAY),
            (&self.revisions, Type::INT8_ARRAY),
            (&self.kinds, Type::INT4_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.metadata, Type::BYTEA_ARRAY),
            (&self.payloads, Type::BYTEA_ARRAY),
        ]
    }
}

/// Moves the head, tells who listens, and commits. One message; where a part of it fails, the rest is not looked at.
fn end_sql(sql: &Statements, end: &End, is_quiet: bool) -> String {
    let Statements { schema, channel, .. } = sql;
    let End { position, time, streams, kinds, retentions } = end;
    // A batch that only changes what is kept leaves the time of the last event.
    let time = if is_quiet { "time".to_owned() } else { time.micros().to_string() };
    format!(
        "UPDATE {schema}.head SET position = {position}, time = {time}, streams = {streams}, kinds = {kinds},
             retentions = {retentions};
         SELECT pg_notify('{channel}', '{position}/{retentions}'); COMMIT"
    )
}

fn max_age(retention: &Retention) -> Option<i64> {
    retention.max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}
