use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_eventstore::ReadFault;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::dial::{Dialer, Link};
use crate::fault::{is_lost, read_fault};
use crate::meters::Meters;

/// Parameters of a statement, each with its type: statements are sent whole, none is prepared.
pub(crate) type Parameters<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// A few connections for statements that stand alone, opened when first needed.
pub(crate) struct Pool {
    dialer: Arc<Dialer>,
    idle: Mutex<Vec<Link>>,
    permits: Semaphore,
    count: usize,
    acquire: Duration,
    statement: Duration,
    meters: Meters,
}

/// What became of a statement.
enum Tried {
    Done(Result<Vec<Row>, Error>),
    Late,
}

impl Pool {
    pub(crate) fn new(
        dialer: Arc<Dialer>,
        count: usize,
        acquire: Duration,
        statement: Duration,
        meters: Meters,
    ) -> Self {
        Self { dialer, idle: Mutex::default(), permits: Semaphore::new(count), count, acquire, statement, meters }
    }

    /// Runs one statement that may be run twice. A connection that turns out to have ended is replaced, once.
    pub(crate) async fn query(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, ReadFault> {
        let _permit = match timeout(self.acquire, self.permits.acquire()).await {
            Ok(permit) => permit.map_err(|_| ReadFault::Unavailable("it is closed".to_owned()))?,
            Err(_) => return Err(self.exhausted()),
        };
        let started = Instant::now();
        let idle = self.idle.lock().pop();
        let outcome = match idle {
            Some(link) => match self.run(link, sql, parameters).await {
                Tried::Done(Err(error)) if is_lost(&error) => self.run_anew(sql, parameters).await?,
                tried => tried,
            },
            None => self.run_anew(sql, parameters).await?,
        };
        self.meters.read_seconds.record(started.elapsed());
        match outcome {
            Tried::Done(outcome) => outcome.map_err(|error| read_fault(&error)),
            Tried::Late => Err(ReadFault::Unavailable(format!("no answer within {} ms", self.statement.as_millis()))),
        }
    }

    async fn run_anew(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Tried, ReadFault> {
        // The others are of the same age: what ended one has ended them.
        self.idle.lock().retain(|link| !link.is_closed());
        let dialed = self.dialer.dial().await;
        let link = dialed.map_err(|fault| ReadFault::Unavailable(fault.why().to_owned()))?;
        Ok(self.run(link, sql, parameters).await)
    }

    async fn run(&self, link: Link, sql: &str, parameters: &Parameters<'_>) -> Tried {
        match timeout(self.statement, link.query_typed(sql, parameters)).await {
            Ok(outcome) => {
                if !link.is_closed() && !outcome.as_ref().is_err_and(is_lost) {
                    self.idle.lock().push(link);
                }
                Tried::Done(outcome)
            }
            // Its answer would come before that of whoever is given it next.
            Err(_) => {
                link.cut();
                Tried::Late
            }
        }
    }

    fn exhausted(&self) -> ReadFault {
        let waited = self.acquire.as_millis();
        ReadFault::Unavailable(format!("POOL_EXHAUSTED: all {} connections were in use for {waited} ms", self.count))
    }
}
