//! Finds out in the database what a plan lacks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cairn_kernel::StreamName;
use cairn_postgres::Link;
use tokio_postgres::Error;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::plan::{End, Facts, Head, Lack};
use crate::pool::Parameters;
use crate::row::number;
use crate::tables::Statements;

impl Facts {
    /// Loads the types, unless all that have a number are known.
    pub(crate) async fn load_kinds(&mut self, link: &Link, sql: &Statements, end: &End) -> Result<(), Error> {
        if i32::try_from(self.kinds.len()) == Ok(end.kinds) {
            return Ok(());
        }
        let rows = link.query_typed(&sql.kinds, &[]).await?;
        let read = |row: &tokio_postgres::Row| Ok((Arc::from(row.try_get::<_, &str>(1)?), row.try_get(0)?));
        self.kinds = rows.iter().map(read).collect::<Result<_, Error>>()?;
        Ok(())
    }

    pub(crate) async fn load(&mut self, link: &Link, sql: &Statements, lack: Lack) -> Result<(), Error> {
        self.load_heads(link, sql, lack.heads).await?;
        self.load_known(link, sql, lack.known).await?;
        self.load_pasts(link, sql, lack.pasts).await
    }

    async fn load_heads(&mut self, link: &Link, sql: &Statements, streams: HashSet<StreamName>) -> Result<(), Error> {
        if streams.is_empty() {
            return Ok(());
        }
        let streams: Vec<StreamName> = streams.into_iter().collect();
        let names: Vec<&str> = streams.iter().map(StreamName::as_str).collect();
        let rows = link.query_typed(&sql.heads, &[(&names, Type::TEXT_ARRAY)]).await?;
        for row in &rows {
            let last = row.try_get::<_, Option<i64>>(3)?.zip(row.try_get::<_, Option<Uuid>>(4)?);
            let head = Head {
                stream: row.try_get(1)?,
                last: last.map(|(revision, id)| (revision.unsigned_abs(), id)),
                is_retained: row.try_get(2)?,
            };
            if let Some(stream) = asked(&streams, row.try_get(0)?) {
                self.heads.insert(stream.clone(), head);
            }
        }
        Ok(())
    }

    async fn load_known(
        &mut self,
        link: &Link,
        sql: &Statements,
        events: HashSet<(StreamName, Uuid)>,
    ) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let events: Vec<_> = events.into_iter().collect();
        let names: Vec<&str> = events.iter().map(|(stream, _)| stream.as_str()).collect();
        let ids: Vec<Uuid> = events.iter().map(|(_, id)| *id).collect();
        let rows = link.query_typed(&sql.known, &[(&names, Type::TEXT_ARRAY), (&ids, Type::UUID_ARRAY)]).await?;
        let mut places: HashMap<_, _> = events.iter().map(|event| (event.clone(), None)).collect();
        for row in &rows {
            if let Some(event) = asked(&events, row.try_get(0)?) {
                places.insert(event.clone(), Some(row.try_get::<_, i64>(1)?.unsigned_abs()));
            }
        }
        self.known.extend(places);
        Ok(())
    }

    async fn load_pasts(
        &mut self,
        link: &Link,
        sql: &Statements,
        pasts: HashSet<(StreamName, u64)>,
    ) -> Result<(), Error> {
        if pasts.is_empty() {
            return Ok(());
        }
        let pasts: Vec<_> = pasts.into_iter().collect();
        let names: Vec<&str> = pasts.iter().map(|(stream, _)| stream.as_str()).collect();
        let positions: Vec<i64> = pasts.iter().map(|(_, position)| number(*position)).collect();
        let parameters: &Parameters<'_> = &[(&names, Type::TEXT_ARRAY), (&positions, Type::INT8_ARRAY)];
        let rows = link.query_typed(&sql.pasts, parameters).await?;
        let mut found: HashMap<_, _> = pasts.iter().map(|past| (past.clone(), None)).collect();
        for row in &rows {
            if let Some(past) = asked(&pasts, row.try_get(0)?) {
                found.insert(past.clone(), row.try_get::<_, Option<i64>>(1)?.map(i64::unsigned_abs));
            }
        }
        self.pasts.extend(found);
        Ok(())
    }
}

/// What a row answers, by its place among what was asked, which PostgreSQL counts from 1.
fn asked<T>(asked: &[T], at: i64) -> Option<&T> {
    usize::try_from(at).ok()?.checked_sub(1).and_then(|at| asked.get(at))
}
