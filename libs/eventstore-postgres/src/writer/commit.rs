use cairn_eventstore::Retention;
use cairn_postgres::Link;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::Identity;
use crate::plan::{End, Plan};
use crate::pool::Parameters;
use crate::row::number;
use crate::tables::{Statements, VERSION};

/// Where a connection keeps the statements that every batch runs.
const HOP: usize = 0;
const HOP_WITH_NAMES: usize = 1;

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
pub(super) async fn commit(
    link: &Link,
    sql: &Statements,
    writer: &Identity,
    start: &End,
    plan: &Plan,
) -> Result<(), Error> {
    if plan.is_idle() {
        return link.batch_execute("COMMIT").await;
    }
    let columns = Columns::of(start, plan);
    let names = Names::of(plan);
    let (kinds, streams) = (names.kinds(), names.streams());
    let retained: Vec<i64> = plan.retentions.iter().map(|(number, _)| *number).collect();
    let ages: Vec<Option<i64>> = plan.retentions.iter().map(|(_, retention)| max_age(retention)).collect();
    let counts: Vec<Option<i64>> = plan.retentions.iter().map(|(_, kept)| kept.max_count.map(number)).collect();

    let retentions: &Parameters<'_> =
        &[(&retained, Type::INT8_ARRAY), (&ages, Type::INT8_ARRAY), (&counts, Type::INT8_ARRAY)];
    let events = columns.parameters();
    let end = end_sql(sql, writer, &plan.end, plan.events.is_empty());
    let mut statements: Vec<BoxFuture<'_, Result<(), Error>>> = vec![];
    if !plan.kinds.is_empty() {
        statements.push(link.execute_typed(&sql.insert_kinds, &kinds).map(|done| done.map(drop)).boxed());
    }
    if !plan.streams.is_empty() {
        statements.push(link.execute_typed(&sql.insert_streams, &streams).map(|done| done.map(drop)).boxed());
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

/// Writes a plan and commits it without having locked the log before, in one round trip. `false`: nothing was written, because
/// another process has written since `start`.
///
/// Prepared where the connection stays what it is: planning it takes longer than running it.
pub(super) async fn hop(
    link: &Link,
    sql: &Statements,
    writer: &Identity,
    start: &End,
    plan: &Plan,
) -> Result<bool, Error> {
    let columns = Columns::of(start, plan);
    let names = Names::of(plan);
    let (old, new) = (number(start.position), number(plan.end.position));
    let notice = notice(&plan.end, writer);
    let head: [(&(dyn ToSql + Sync), Type); 10] = [
        (&writer.log, Type::UUID),
        (&VERSION, Type::INT4),
        (&old, Type::INT8),
        (&start.streams, Type::INT8),
        (&start.kinds, Type::INT4),
        (&start.retentions, Type::INT8),
        (&new, Type::INT8),
        (&plan.end.streams, Type::INT8),
        (&plan.end.kinds, Type::INT4),
        (&notice, Type::TEXT),
    ];
    let mut parameters = [&columns.parameters()[..], &head].concat();
    let is_plain = plan.kinds.is_empty() && plan.streams.is_empty();
    let (sql, prepared) = match is_plain {
        true => (&sql.hop, link.prepared(HOP)),
        false => (&sql.hop_with_names, link.prepared(HOP_WITH_NAMES)),
    };
    if !is_plain {
        parameters.extend(names.kinds());
        parameters.extend(names.streams());
    }
    if writer.is_pooled {
        return Ok(link.execute_typed(sql, &parameters).await? > 0);
    }
    let (values, types): (Vec<_>, Vec<Type>) = parameters.into_iter().unzip();
    let statement = prepared.get_or_try_init(|| link.prepare_typed(sql, &types)).await?;
    Ok(link.execute(statement, &values).await? > 0)
}

/// Writes events of another log into the open transaction as they are there, and commits.
pub(crate) async fn take_over(
    link: &Link,
    sql: &Statements,
    writer: &Identity,
    start: &End,
    plan: &Plan,
) -> Result<(), Error> {
    let (columns, names) = (Columns::of(start, plan), Names::of(plan));
    let events = || plan.events.iter().map(|planned| &planned.fresh.event);
    let positions: Vec<i64> = events().map(|event| number(event.position.0)).collect();
    let times: Vec<i64> = events().map(|event| event.time.micros()).collect();
    let [_, _, rest @ ..] = columns.parameters();
    let events: Vec<_> =
        [(&positions as _, Type::INT8_ARRAY), (&times as _, Type::INT8_ARRAY)].into_iter().chain(rest).collect();
    link.execute_typed(&sql.insert_kinds, &names.kinds()).await?;
    link.execute_typed(&sql.insert_streams, &names.streams()).await?;
    link.execute_typed(&sql.insert_carried, &events).await?;
    link.batch_execute(&end_sql(sql, writer, &plan.end, false)).await
}

/// What is given a number for the first time, by column.
struct Names<'a> {
    kind_numbers: Vec<i32>,
    kinds: Vec<&'a str>,
    stream_numbers: Vec<i64>,
    streams: Vec<&'a str>,
    categories: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self {
            kind_numbers: plan.kinds.iter().map(|(number, _)| *number).collect(),
            kinds: plan.kinds.iter().map(|(_, name)| &**name).collect(),
            stream_numbers: plan.streams.iter().map(|(number, _)| *number).collect(),
            streams: plan.streams.iter().map(|(_, name)| name.as_str()).collect(),
            categories: plan.streams.iter().map(|(_, name)| name.category()).collect(),
        }
    }

    fn kinds(&self) -> [(&(dyn ToSql + Sync), Type); 2] {
        [(&self.kind_numbers, Type::INT4_ARRAY), (&self.kinds, Type::TEXT_ARRAY)]
    }

    fn streams(&self) -> [(&(dyn ToSql + Sync), Type); 3] {
        [
            (&self.stream_numbers, Type::INT8_ARRAY),
            (&self.streams, Type::TEXT_ARRAY),
            (&self.categories, Type::TEXT_ARRAY),
        ]
    }
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
fn end_sql(sql: &Statements, writer: &Identity, end: &End, is_quiet: bool) -> String {
    let Statements { schema, channel, .. } = sql;
    let End { position, time, streams, kinds, retentions } = end;
    // A batch that only changes what is kept leaves the time of the last event.
    let time = if is_quiet { "time".to_owned() } else { time.micros().to_string() };
    format!(
        "UPDATE {schema}.head SET position = {position}, time = {time}, streams = {streams}, kinds = {kinds},
             retentions = {retentions};
         SELECT pg_notify('{channel}', '{}'); COMMIT",
        notice(end, writer)
    )
}

/// What is told to who listens: where the log ends now, and by whom.
fn notice(end: &End, writer: &Identity) -> String {
    format!("{}/{}/{}", end.position, end.retentions, writer.store)
}

fn max_age(retention: &Retention) -> Option<i64> {
    retention.max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}
