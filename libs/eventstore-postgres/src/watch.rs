//! Hears of what other processes appended. A notice is only a hint to look sooner: what counts is what the head says.

use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{Fresh, ReadFault};
use cairn_kernel::Position;
use cairn_postgres::{Dialer, Link};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;
use tracing::{debug, info};
use uuid::Uuid;

use crate::fault::read_fault;
use crate::pool::Parameters;
use crate::row::{COLUMN_COUNT, Decoder, column, number};
use crate::store::Shared;

/// Before a connection that listens is made anew.
const RETRY: Duration = Duration::from_secs(5);
/// Events fetched at once for those who follow live; what is more is left to whoever reads.
const FETCHED_MAX: u64 = 1_024;

impl Shared {
    /// Shows what others appended, up to `until`, to those who follow the log live. The writer has a connection of its own for
    /// that, and need not wait behind readers.
    pub(crate) async fn catch_up(&self, until: u64, link: Option<&Link>) {
        let known = self.ring.head().0;
        if until <= known {
            return;
        }
        match self.fetched(known, until, link).await {
            Ok(Some(fresh)) => self.ring.publish(fresh),
            // What is not kept in memory is read from the database.
            Ok(None) => {}
            Err(fault) => debug!(%fault, "events of others were not fetched"),
        }
        self.ring.skip_to(Position(until));
    }

    /// A stretch of the log. `None`: it is not whole, or too much.
    async fn fetched(&self, after: u64, until: u64, link: Option<&Link>) -> Result<Option<Vec<Fresh>>, ReadFault> {
        if until - after > FETCHED_MAX {
            return Ok(None);
        }
        let (first, last) = (number(after), number(until));
        let parameters: &Parameters<'_> = &[(&first, Type::INT8), (&last, Type::INT8)];
        let rows = match link {
            Some(link) => link.query_typed(&self.sql.tail, parameters).await.map_err(|error| read_fault(&error))?,
            None => self.pool.query(&self.sql.tail, parameters).await?,
        };
        if rows.len() as u64 != until - after {
            return Ok(None);
        }
        let mut decoder = Decoder::default();
        let fresh = |row| Ok(Fresh { event: decoder.event(row)?, is_retained: column(row, COLUMN_COUNT)? });
        rows.iter().map(fresh).collect::<Result<_, _>>().map(Some)
    }
}

/// Follows the head until the store is closed.
pub(crate) struct Watch {
    pub(crate) shared: Arc<Shared>,
    /// Where to listen, if there is such a place.
    pub(crate) listener: Option<Dialer>,
    pub(crate) retentions: i64,
    /// This store among its fellows.
    pub(crate) store: Uuid,
}

type Listening = (Link, mpsc::Receiver<String>);

impl Watch {
    pub(crate) async fn run(mut self) {
        let mut closing = self.shared.closing.subscribe();
        let follow = self.follow();
        tokio::select! {
            () = follow => {}
            _ = closing.wait_for(|is_closing| *is_closing) => {}
        }
    }

    async fn follow(&mut self) {
        let mut listening = None;
        let mut retried = None;
        let mut is_well = true;
        loop {
            if listening.is_none() && retried.is_none_or(|retried: Instant| retried.elapsed() >= RETRY) {
                retried = Some(Instant::now());
                listening = self.listen().await;
            }
            self.wait(&mut listening).await;
            match self.look().await {
                Ok(()) => is_well = true,
                Err(fault) => {
                    // The writer finds out what is wrong, and when it is well again.
                    if std::mem::take(&mut is_well) {
                        debug!(%fault, "the head of the log could not be read");
                        self.shared.queue.poke();
                    }
                }
            }
        }
    }

    async fn listen(&self) -> Option<Listening> {
        let listened = self.listener.as_ref()?.listen(&self.shared.sql.channel).await;
        listened.inspect_err(|why| info!(why, "the event store cannot listen and polls instead")).ok()
    }

    /// Until there may be something new.
    async fn wait(&self, listening: &mut Option<Listening>) {
        let config = &self.shared.config;
        match listening {
            None => sleep(Duration::from_millis(config.poll_interval_ms)).await,
            Some((_, told)) => {
                let pause = Duration::from_millis(config.listening_poll_interval_ms);
                let is_news = |notice: &str| self.is_news(notice);
                let told_news = async {
                    while let Some(notice) = told.recv().await {
                        if is_news(&notice) {
                            return true;
                        }
                    }
                    false
                };
                tokio::select! {
                    is_open = told_news => if !is_open { *listening = None },
                    () = sleep(pause) => {}
                }
            }
        }
    }

    /// Whether a notice tells of something that this process has not seen: most are of its own appends.
    fn is_news(&self, notice: &str) -> bool {
        let mut parts = notice.split('/');
        let position = parts.next().and_then(|text| text.parse::<u64>().ok());
        let retentions = parts.next().and_then(|text| text.parse::<i64>().ok());
        let store = parts.next().and_then(|text| text.parse::<Uuid>().ok());
        store != Some(self.store)
            && (position.is_none_or(|position| position > self.shared.ring.head().0)
                || retentions != Some(self.retentions))
    }

    /// Looks at the head.
    async fn look(&mut self) -> Result<(), ReadFault> {
        let rows = self.shared.pool.query(&self.shared.sql.end, &[]).await?;
        let Some(row) = rows.first() else { return Err(ReadFault::Damaged("its head is gone".to_owned())) };
        let (position, retentions): (i64, i64) = (column(row, 2)?, column(row, 6)?);
        if retentions != self.retentions {
            self.retentions = retentions;
            self.shared.ring.clear();
        }
        self.shared.catch_up(position.unsigned_abs(), None).await;
        Ok(())
    }
}
