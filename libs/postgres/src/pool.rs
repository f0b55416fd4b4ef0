use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::Histogram;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::dial::{Dialer, Link};
use crate::fault::{is_lost, said};

/// Parameters of a statement, each with its type: statements are sent whole, none is prepared.
pub type Parameters<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// How large a pool is, and how long one waits in it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Connections that are kept once they are open.
    pub kept: usize,
    /// How many more there may be at the same time: they end with what they were opened for.
    pub overflow: usize,
    /// Longest wait for one of them.
    pub acquire: Duration,
    /// Longest statement.
    pub statement: Duration,
}

/// A few connections for statements that stand alone, opened when first needed.
pub struct Pool {
    dialer: Arc<Dialer>,
    idle: Mutex<Vec<Link>>,
    permits: Semaphore,
    size: Size,
    seconds: Histogram,
}

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PoolFault {
    /// Everything was in use for too long.
    #[error("POOL_EXHAUSTED: all {count} connections were in use for {waited_ms} ms")]
    Exhausted { count: usize, waited_ms: u128 },
    /// There is no connection to be had.
    #[error("{0}")]
    Away(String),
    #[error("no answer within {0} ms")]
    Late(u128),
    #[error("{}", said(.0))]
    Failed(Error),
}

/// What became of a statement.
enum Tried {
    Done(Result<Vec<Row>, Error>),
    Late,
}

impl Pool {
    /// An empty one. `seconds` is told how long each statement took.
    pub fn new(dialer: Arc<Dialer>, size: Size, seconds: Histogram) -> Self {
        let permits = Semaphore::new(size.kept + size.overflow);
        Self { dialer, idle: Mutex::default(), permits, size, seconds }
    }

    /// Runs one statement that may be run twice. A connection that turns out to have ended is replaced, once.
    pub async fn query(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, PoolFault> {
        let _permit = match timeout(self.size.acquire, self.permits.acquire()).await {
            Ok(permit) => permit.map_err(|_| PoolFault::Away("it is closed".to_owned()))?,
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
        self.seconds.record(started.elapsed());
        match outcome {
            Tried::Done(outcome) => outcome.map_err(PoolFault::Failed),
            Tried::Late => Err(PoolFault::Late(self.size.statement.as_millis())),
        }
    }

    async fn run_anew(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Tried, PoolFault> {
        // The others are of the same age: what ended one has ended them.
        self.idle.lock().retain(|link| !link.is_closed());
        let dialed = self.dialer.dial().await;
        let link = dialed.map_err(|fault| PoolFault::Away(fault.why().to_owned()))?;
        Ok(self.run(link, sql, parameters).await)
    }

    async fn run(&self, link: Link, sql: &str, parameters: &Parameters<'_>) -> Tried {
        match timeout(self.size.statement, link.query_typed(sql, parameters)).await {
            Ok(outcome) => {
                if !link.is_closed() && !outcome.as_ref().is_err_and(is_lost) {
                    self.keep(link);
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

    /// What is beyond the size ends here.
    fn keep(&self, link: Link) {
        let mut idle = self.idle.lock();
        if idle.len() < self.size.kept {
            idle.push(link);
        }
    }

    fn exhausted(&self) -> PoolFault {
        let count = self.size.kept + self.size.overflow;
        PoolFault::Exhausted { count, waited_ms: self.size.acquire.as_millis() }
    }
}
