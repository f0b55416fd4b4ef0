//! What is done beside appending: snapshots are written, and events removed that are no longer to be kept.

use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{ReadFault, Snapshot};
use cairn_kernel::StreamName;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::types::Type;
use tracing::debug;

use crate::pool::Parameters;
use crate::row::{column, number};
use crate::store::Shared;

/// Snapshots written by one statement.
const SNAPSHOTS_MAX: usize = 32;
/// Streams looked at by one statement, and events removed from each: a step is one short commit.
const STREAMS_MAX: i64 = 16;
const EVENTS_MAX: i64 = 256;
/// Events younger than this stay, so that whoever must find out whether its append was committed finds them.
const YOUNG: Duration = Duration::from_secs(60);

/// Keeps the house of one process. Several do no harm to each other.
pub(crate) struct House {
    pub(crate) shared: Arc<Shared>,
}

impl House {
    pub(crate) async fn run(self) {
        let mut closing = self.shared.closing.subscribe();
        tokio::select! {
            () = self.keep() => {}
            _ = closing.wait_for(|is_closing| *is_closing) => {}
        }
        // What still waits is a cache: it is written if that works at once.
        self.write_snapshots().await;
    }

    async fn keep(&self) {
        let interval = Duration::from_millis(self.shared.config.sweep_interval_ms);
        let (mut due, mut after) = (Instant::now() + interval, 0);
        loop {
            tokio::select! {
                () = self.shared.housework.notified() => self.write_snapshots().await,
                () = sleep_until(due) => match self.sweep(after).await {
                    Ok(Some(next)) => after = next,
                    outcome => {
                        if let Err(fault) = outcome {
                            debug!(%fault, "events that are not to be kept were not removed");
                        }
                        (due, after) = (Instant::now() + interval, 0);
                    }
                },
            }
        }
    }

    async fn write_snapshots(&self) {
        loop {
            let some = self.shared.snapshots.some(SNAPSHOTS_MAX);
            if some.is_empty() {
                return;
            }
            if let Err(fault) = self.write(&some).await {
                debug!(%fault, "snapshots were not written");
                self.shared.meters.dropped_snapshots.increment(some.len() as u64);
            }
            // Written or not: one that is lost is made again when it is missed.
            self.shared.snapshots.done(&some);
        }
    }

    async fn write(&self, some: &[(StreamName, Snapshot)]) -> Result<(), ReadFault> {
        let names: Vec<&str> = some.iter().map(|(stream, _)| stream.as_str()).collect();
        let revisions: Vec<i64> = some.iter().map(|(_, snapshot)| number(snapshot.revision.0)).collect();
        let shapes: Vec<&str> = some.iter().map(|(_, snapshot)| snapshot.schema.as_str()).collect();
        let states: Vec<&[u8]> = some.iter().map(|(_, snapshot)| &snapshot.state[..]).collect();
        let parameters: &Parameters<'_> = &[
            (&names, Type::TEXT_ARRAY),
            (&revisions, Type::INT8_ARRAY),
            (&shapes, Type::TEXT_ARRAY),
            (&states, Type::BYTEA_ARRAY),
        ];
        self.shared.pool.query(&self.shared.sql.keep_snapshots, parameters).await.map(drop)
    }

    /// One step of the slow walk over the streams that do not keep everything. Gives where to go on; `None`: it is done.
    async fn sweep(&self, after: i64) -> Result<Option<i64>, ReadFault> {
        let now = self.shared.clock.now().micros();
        let young = now.saturating_sub(i64::try_from(YOUNG.as_micros()).unwrap_or(i64::MAX));
        let parameters: &Parameters<'_> = &[
            (&after, Type::INT8),
            (&STREAMS_MAX, Type::INT8),
            (&EVENTS_MAX, Type::INT8),
            (&now, Type::INT8),
            (&young, Type::INT8),
        ];
        let rows = self.shared.pool.query(&self.shared.sql.sweep, parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (last, streams, removed): (Option<i64>, i64, i64) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
        self.shared.meters.removed_events.increment(removed.unsigned_abs());
        match last {
            // There may be more of the same.
            _ if removed > 0 => Ok(Some(after)),
            Some(last) if streams == STREAMS_MAX => Ok(Some(last)),
            _ => Ok(None),
        }
    }
}
