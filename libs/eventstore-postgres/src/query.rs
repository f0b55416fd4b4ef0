//! What readers ask the database. Every statement stands alone and sees one moment of the log.

use std::sync::Arc;

use cairn_eventstore::{Direction, Filter, Page, ReadFault, Recorded, Snapshot};
use cairn_kernel::{Position, Revision, StreamName, Time};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::pool::{Parameters, Pool};
use crate::row::{Decoder, column, number};
use crate::tables::Statements;

/// Positions looked at by one statement.
const STEP: u64 = 4_096;
/// Positions looked at for one page, however few of them are wanted.
const CONSIDERED_MAX: u64 = 65_536;
/// Bytes after which a page of the log ends.
const PAGE_BYTES_MAX: i64 = 16 << 20;

/// Events of one stream.
pub(crate) async fn stream(
    pool: &Pool,
    sql: &Statements,
    name: &StreamName,
    from: Revision,
    direction: Direction,
    limit: usize,
    now: Time,
) -> Result<Vec<Arc<Recorded>>, ReadFault> {
    let sql = match direction {
        Direction::Forwards => &sql.stream_forwards,
        Direction::Backwards => &sql.stream_backwards,
    };
    let (from, limit, now) = (number(from.0), i64::try_from(limit).unwrap_or(i64::MAX), now.micros());
    let parameters: &Parameters<'_> =
        &[(&name.as_str(), Type::TEXT), (&from, Type::INT8), (&limit, Type::INT8), (&now, Type::INT8)];
    Decoder::events(&pool.query(sql, parameters).await?)
}

/// The first event under an id.
pub(crate) async fn find(pool: &Pool, sql: &Statements, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
    let rows = pool.query(&sql.find, &[(&id, Type::UUID)]).await?;
    rows.first().map(|row| Decoder::default().event(row)).transpose()
}

/// The newest snapshot of a stream.
pub(crate) async fn snapshot(pool: &Pool, sql: &Statements, name: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
    let rows = pool.query(&sql.snapshot, &[(&name.as_str(), Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Snapshot {
        revision: Revision(column::<i64>(row, 0)?.unsigned_abs()),
        schema: column(row, 1)?,
        state: column::<Vec<u8>>(row, 2)?.into(),
    }))
}

/// A filter in the words of a statement: `None` wants all.
struct Wanted {
    categories: Option<Vec<String>>,
    kinds: Option<Vec<String>>,
    beginnings: Option<Vec<String>>,
}

impl Wanted {
    fn of(filter: &Filter) -> Self {
        let some = |texts: Vec<String>| Some(texts).filter(|texts| !texts.is_empty());
        let (beginnings, kinds): (Vec<&String>, Vec<&String>) =
            filter.kinds.iter().partition(|kind| kind.ends_with('*'));
        let beginnings = beginnings.into_iter().filter_map(|kind| kind.strip_suffix('*')).map(ToOwned::to_owned);
        Self {
            categories: some(filter.categories.clone()),
            kinds: some(kinds.into_iter().cloned().collect()),
            beginnings: some(beginnings.collect()),
        }
    }
}

/// Events of the whole log, up to `head`.
pub(crate) async fn log(
    pool: &Pool,
    sql: &Statements,
    filter: &Filter,
    (from, direction, limit): (Position, Direction, usize),
    head: Position,
    now: Time,
) -> Result<Page, ReadFault> {
    let mut page = Page { events: vec![], considered: from, is_end: false };
    if limit == 0 {
        return Ok(page);
    }
    let wanted = Wanted::of(filter);
    // Positions have no gaps, so without a filter no more need be looked at than are to be read.
    let step = if *filter == Filter::all() { (limit as u64).min(STEP) } else { STEP };
    // Positions still to be looked at: above `low`, up to `high`.
    let (mut low, mut high) = match direction {
        Direction::Forwards => (from.0, head.0),
        Direction::Backwards => (0, head.0.min(from.0.saturating_sub(1))),
    };
    let (mut bytes_left, mut budget) = (PAGE_BYTES_MAX, CONSIDERED_MAX);
    while low < high && budget > 0 && bytes_left > 0 && page.events.len() < limit {
        let (after, until) = match direction {
            Direction::Forwards => (low, high.min(low.saturating_add(step))),
            Direction::Backwards => (low.max(high.saturating_sub(step)), high),
        };
        let room = limit - page.events.len();
        let events = stretch(pool, sql, direction, (after, until), (room, bytes_left), &wanted, now).await?;
        bytes_left -= events.iter().map(|event| (event.payload.len() + event.metadata.len()) as i64).sum::<i64>();
        // A stretch that was cut short was looked at up to its last event only.
        let is_cut = events.len() >= room || bytes_left <= 0;
        let reached = events.last().filter(|_| is_cut).map(|event| event.position.0);
        match direction {
            Direction::Forwards => {
                low = reached.unwrap_or(until);
                page.considered = Position(low);
            }
            Direction::Backwards => {
                high = reached.map_or(after, |reached| reached - 1);
                page.considered = Position(high + 1);
            }
        }
        page.events.extend(events);
        budget = budget.saturating_sub(step);
    }
    page.is_end = low >= high;
    if page.is_end && direction == Direction::Backwards && page.events.len() < limit {
        page.considered = Position::START;
    }
    Ok(page)
}

async fn stretch(
    pool: &Pool,
    sql: &Statements,
    direction: Direction,
    (after, until): (u64, u64),
    (room, bytes): (usize, i64),
    wanted: &Wanted,
    now: Time,
) -> Result<Vec<Arc<Recorded>>, ReadFault> {
    let sql = match direction {
        Direction::Forwards => &sql.log_forwards,
        Direction::Backwards => &sql.log_backwards,
    };
    let (after, until, now) = (number(after), number(until), now.micros());
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let parameters: &Parameters<'_> = &[
        (&after, Type::INT8),
        (&until, Type::INT8),
        (&room, Type::INT8),
        (&now, Type::INT8),
        (&bytes, Type::INT8),
        (&wanted.categories, Type::TEXT_ARRAY),
        (&wanted.kinds, Type::TEXT_ARRAY),
        (&wanted.beginnings, Type::TEXT_ARRAY),
    ];
    Decoder::events(&pool.query(sql, parameters).await?)
}
