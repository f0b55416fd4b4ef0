use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::{AppendFault, Carried, EventStore, ReadFault, Recorded, Retention};
use cairn_kernel::{Position, StreamName};
use cairn_postgres::Link;
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::fault::Trouble;
use crate::plan::{Facts, Lack, take_over};
use crate::pool::Parameters;
use crate::row::{Decoder, column, number};
use crate::store::check_name;
use crate::writer::{commit, lock};

/// Bytes after which what is read at once is enough.
const BYTES_MAX: i64 = 16 << 20;

#[async_trait]
impl Carried for Postgres {
    async fn end(&self) -> Result<Position, ReadFault> {
        let rows = self.shared.pool.query(&self.shared.sql.end, &[]).await?;
        let row = rows.first().ok_or_else(|| ReadFault::Damaged("its head is gone".to_owned()))?;
        Ok(Position(column::<i64>(row, 2)?.unsigned_abs()))
    }

    async fn held(&self, after: Position, limit: usize) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        let (after, limit) = (number(after.0), number(limit as u64));
        let parameters: &Parameters<'_> = &[(&after, Type::INT8), (&limit, Type::INT8), (&BYTES_MAX, Type::INT8)];
        let rows = self.shared.pool.query(&self.shared.sql.held, parameters).await?;
        Decoder::events(&rows)
    }

    async fn retentions(&self) -> Result<Vec<(StreamName, Retention)>, ReadFault> {
        let rows = self.shared.pool.query(&self.shared.sql.retentions, &[]).await?;
        let read = |row| {
            let max_age = column::<Option<i64>>(row, 1)?.map(|age| Duration::from_micros(age.unsigned_abs()));
            let max_count = column::<Option<i64>>(row, 2)?.map(i64::unsigned_abs);
            Ok((StreamName::stored(column::<&str>(row, 0)?), Retention { max_age, max_count }))
        };
        rows.iter().map(read).collect()
    }

    async fn take_over(&self, events: Vec<Arc<Recorded>>) -> Result<(), AppendFault> {
        for event in &events {
            check_name(&event.stream)?;
        }
        let link = self.dialer.dial().await.map_err(|fault| AppendFault::Unavailable(fault.why().to_owned()))?;
        let outcome = self.take_over_on(&link, &events).await;
        if outcome.is_err() {
            // With the connection ends whatever was not committed.
            link.cut();
        }
        outcome
    }

    async fn take_over_retention(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.retain(stream, retention).await
    }
}

impl Postgres {
    async fn take_over_on(&self, link: &Link, events: &[Arc<Recorded>]) -> Result<(), AppendFault> {
        let (sql, failed) = (&self.shared.sql, |error: tokio_postgres::Error| Trouble::of(&error).answer());
        let end = lock::locked(link, sql, self.identity.log).await.map_err(|trouble| trouble.answer())?;
        let mut facts = Facts::default();
        facts.load_kinds(link, sql, &end).await.map_err(failed)?;
        let heads = events.iter().map(|event| event.stream.clone()).collect();
        facts.load(link, sql, Lack { heads, ..Lack::default() }).await.map_err(failed)?;
        let plan = take_over(events, &facts, end)?;
        commit::take_over(link, sql, &self.identity, &end, &plan).await.map_err(failed)
    }
}
