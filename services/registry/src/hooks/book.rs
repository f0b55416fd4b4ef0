use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cairn_kernel::{Position, Time};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::task::spawn_blocking;

use crate::model::hook::{Format, Trigger};
use crate::model::{DeliveryName, HookName};

/// Lanes whose first delivery is looked at, at a time.
const LANES_MAX: i64 = 1_000;

/// What was delivered, what is to be, and how far the log was read for it.
///
/// Not a view: whether somebody was told something cannot be read off the log, and telling it again because a file was
/// built anew is what must not happen. So it lies beside the log; a lost one begins where the log ends then.
#[derive(Clone)]
pub(crate) struct Book {
    connection: Arc<Mutex<Connection>>,
    limits: Limits,
}

/// How much of one hook is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub pending: i64,
    pub kept: i64,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending = 1,
    Delivered = 2,
    Dead = 3,
}

/// A delivery as the book has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its place in the book.
    pub seq: i64,
    pub id: String,
    pub hook: String,
    pub model: String,
    pub event_id: String,
    pub trigger: Trigger,
    pub state: State,
    pub attempts: u32,
    pub response_status: u16,
    pub error: String,
    pub event_time: Time,
    pub due: Time,
    pub end_time: Option<Time>,
}

/// A page of deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliveryPage {
    pub deliveries: Vec<Delivery>,
    /// Where the next page begins.
    pub next: Option<i64>,
}

/// A delivery about to be written down.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub id: String,
    pub hook: String,
    pub model: String,
    pub event_id: String,
    pub trigger: Trigger,
    pub format: Format,
    pub body: Bytes,
    pub time: Time,
}

/// What happened to a hook, as far as the book must know it.
#[derive(Clone, Debug)]
pub(super) enum HookNote {
    Is { hook: String, is_enabled: bool, spec: Vec<u8> },
    Gone(String),
}

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub seq: i64,
    pub id: String,
    pub hook: String,
    pub model: String,
    pub spec: Vec<u8>,
    pub format: Format,
    pub body: Bytes,
    pub attempts: u32,
    pub due: Time,
}

/// How a try ended.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Taken { status: u16 },
    Again { status: u16, error: String, due: Time },
    GivenUp { status: u16, error: String },
}

/// Why the book cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BookFault {
    #[error("the book of deliveries cannot be used: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("the book of deliveries cannot be made: {0}")]
    File(#[from] std::io::Error),
    #[error("the book of deliveries is closing")]
    Stopping,
}

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS reading (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS hook (hook TEXT PRIMARY KEY, is_enabled INTEGER NOT NULL, spec BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    hook TEXT NOT NULL,
    model TEXT NOT NULL,
    event_id TEXT NOT NULL,
    occasion TEXT NOT NULL,
    format TEXT NOT NULL,
    body BLOB NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    response_status INTEGER NOT NULL,
    error TEXT NOT NULL,
    event_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    end_us INTEGER
);
CREATE INDEX IF NOT EXISTS delivery_waiting ON delivery (hook, model, seq) WHERE state = 1;
CREATE INDEX IF NOT EXISTS delivery_by_state ON delivery (hook, state, seq);
";

const COLUMNS: &str = "seq, id, hook, model, event_id, occasion, state, attempts, response_status, error, event_us, \
                       due_us, end_us";

impl Book {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, BookFault> {
        // What models are called is nobody else's business.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), limits })
    }

    /// How far the log was read, and the hooks there are then. `None`: not at all.
    pub(super) async fn reading(&self) -> Result<Option<(Position, HashMap<String, (bool, Vec<u8>)>)>, BookFault> {
        self.run(|db| {
            let position = db.query_row("SELECT position FROM reading", [], |row| row.get::<_, i64>(0)).optional()?;
            let mut select = db.prepare("SELECT hook, is_enabled, spec FROM hook")?;
            let hooks = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
            let hooks = hooks.collect::<Result<_, _>>()?;
            Ok(position.map(|position| (Position(position as u64), hooks)))
        })
        .await
    }

    /// Writes down what is to be delivered, what became of hooks, and how far the log was read: all of it or nothing.
    pub(super) async fn plan(
        &self,
        rows: Vec<Planned>,
        notes: Vec<HookNote>,
        position: Position,
    ) -> Result<(), BookFault> {
        let limits = self.limits;
        self.run(move |db| {
            let tx = db.transaction()?;
            for row in rows {
                insert(&tx, row, limits)?;
            }
            for note in notes {
                match note {
                    HookNote::Is { hook, is_enabled, spec } => {
                        let sql = "INSERT OR REPLACE INTO hook (hook, is_enabled, spec) VALUES (?1, ?2, ?3)";
                        tx.prepare_cached(sql)?.execute(params![hook, is_enabled, spec])?;
                    }
                    HookNote::Gone(hook) => {
                        tx.prepare_cached("DELETE FROM hook WHERE hook = ?1")?.execute([&hook])?;
                        tx.prepare_cached("DELETE FROM delivery WHERE hook = ?1")?.execute([&hook])?;
                    }
                }
            }
            let sql = "INSERT INTO reading (one, position) VALUES (1, ?1) ON CONFLICT DO UPDATE SET position = ?1";
            tx.prepare_cached(sql)?.execute([position.0 as i64])?;
            tx.commit()?;
            Ok(())
        })
        .await
    }

    /// The first delivery of each lane: of a hook that is in force, for one model. Soonest due first.
    pub(super) async fn first_of_lanes(&self) -> Result<Vec<Letter>, BookFault> {
        self.run(|db| {
            let sql = "SELECT d.seq, d.id, d.hook, d.model, h.spec, d.format, d.body, d.attempts, d.due_us
                 FROM (SELECT min(seq) AS seq FROM delivery WHERE state = 1 GROUP BY hook, model) AS first
                 JOIN delivery d ON d.seq = first.seq JOIN hook h ON h.hook = d.hook
                 WHERE h.is_enabled ORDER BY d.due_us, d.seq LIMIT ?1";
            let mut select = db.prepare_cached(sql)?;
            let letters = select.query_map([LANES_MAX], |row| {
                Ok(Letter {
                    seq: row.get(0)?,
                    id: row.get(1)?,
                    hook: row.get(2)?,
                    model: row.get(3)?,
                    spec: row.get(4)?,
                    format: format(&row.get::<_, String>(5)?),
                    body: row.get::<_, Vec<u8>>(6)?.into(),
                    attempts: row.get(7)?,
                    due: Time::from_micros(row.get(8)?),
                })
            })?;
            Ok(letters.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Writes down how a try ended, and forgets what is too old.
    pub(super) async fn tried(&self, letter: &Letter, ending: Ending, now: Time) -> Result<(), BookFault> {
        let (seq, hook, kept) = (letter.seq, letter.hook.clone(), self.limits.kept);
        self.run(move |db| {
            let (state, status, error, due, end) = match ending {
                Ending::Taken { status } => (State::Delivered, status, String::new(), now, Some(now)),
                Ending::Again { status, error, due } => (State::Pending, status, error, due, None),
                Ending::GivenUp { status, error } => (State::Dead, status, error, now, Some(now)),
            };
            let sql = "UPDATE delivery SET state = ?2, attempts = attempts + 1, response_status = ?3, error = ?4,
                       due_us = ?5, end_us = ?6 WHERE seq = ?1";
            let end = end.map(Time::micros);
            db.prepare_cached(sql)?.execute(params![seq, state as i64, status, error, due.micros(), end])?;
            if state != State::Pending {
                forget_old(db, &hook, state, kept)?;
            }
            Ok(())
        })
        .await
    }

    /// A page of a hook's deliveries, newest first.
    pub async fn page(
        &self,
        hook: &HookName,
        state: Option<State>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<DeliveryPage, BookFault> {
        let hook = hook.to_string();
        self.run(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM delivery WHERE hook = ?1 AND (?2 IS NULL OR state = ?2) AND seq < ?3
                 ORDER BY seq DESC LIMIT ?4"
            );
            let mut select = db.prepare_cached(&sql)?;
            let (state, before) = (state.map(|state| state as i64), before.unwrap_or(i64::MAX));
            let rows = select.query_map(params![hook, state, before, limit as i64 + 1], delivery)?;
            let mut deliveries: Vec<Delivery> = rows.collect::<Result<_, _>>()?;
            let has_more = deliveries.len() > limit;
            deliveries.truncate(limit);
            let next = deliveries.last().filter(|_| has_more).map(|last| last.seq);
            Ok(DeliveryPage { deliveries, next })
        })
        .await
    }

    /// A delivery.
    pub async fn find(&self, name: &DeliveryName) -> Result<Option<Delivery>, BookFault> {
        let (hook, id) = (name.parent().to_string(), name.delivery().to_owned());
        self.run(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM delivery WHERE hook = ?1 AND id = ?2");
            Ok(db.prepare_cached(&sql)?.query_row([hook, id], delivery).optional()?)
        })
        .await
    }

    /// Puts a dead letter among those that wait, as if it had never been tried. `false`: it is none.
    pub async fn revive(&self, name: &DeliveryName, now: Time) -> Result<bool, BookFault> {
        let (hook, id) = (name.parent().to_string(), name.delivery().to_owned());
        self.run(move |db| {
            let sql = "UPDATE delivery SET state = 1, attempts = 0, due_us = ?3, end_us = NULL
                       WHERE hook = ?1 AND id = ?2 AND state = 3";
            Ok(db.prepare_cached(sql)?.execute(params![hook, id, now.micros()])? > 0)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, BookFault> + Send + 'static,
    ) -> Result<T, BookFault> {
        let connection = Arc::clone(&self.connection);
        spawn_blocking(move || work(&mut connection.lock())).await.map_err(|_| BookFault::Stopping)?
    }
}

fn insert(db: &Connection, row: Planned, limits: Limits) -> Result<(), BookFault> {
    let waiting: i64 = db
        .prepare_cached("SELECT count(*) FROM delivery WHERE hook = ?1 AND state = 1")?
        .query_row([&row.hook], |row| row.get(0))?;
    let (state, error) = match waiting < limits.pending {
        true => (State::Pending, String::new()),
        false => (State::Dead, format!("{} deliveries of this hook wait already", limits.pending)),
    };
    let end = (state == State::Dead).then_some(row.time.micros());
    let sql = "INSERT OR IGNORE INTO delivery (id, hook, model, event_id, occasion, format, body, state, attempts,
               response_status, error, event_us, due_us, end_us)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9, ?10, ?10, ?11)";
    db.prepare_cached(sql)?.execute(params![
        row.id,
        row.hook,
        row.model,
        row.event_id,
        row.trigger.as_str(),
        written(row.format),
        row.body.as_ref(),
        state as i64,
        error,
        row.time.micros(),
        end
    ])?;
    match state {
        State::Dead => forget_old(db, &row.hook, state, limits.kept),
        _ => Ok(()),
    }
}

fn forget_old(db: &Connection, hook: &str, state: State, kept: i64) -> Result<(), BookFault> {
    let sql = "DELETE FROM delivery WHERE hook = ?1 AND state = ?2 AND seq <=
               (SELECT seq FROM delivery WHERE hook = ?1 AND state = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3)";
    db.prepare_cached(sql)?.execute(params![hook, state as i64, kept])?;
    Ok(())
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let occasion: String = row.get(5)?;
    let trigger = Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == occasion);
    let state = match row.get(6)? {
        1 => State::Pending,
        2 => State::Delivered,
        _ => State::Dead,
    };
    Ok(Delivery {
        seq: row.get(0)?,
        id: row.get(1)?,
        hook: row.get(2)?,
        model: row.get(3)?,
        event_id: row.get(4)?,
        trigger: trigger.ok_or(rusqlite::Error::InvalidQuery)?,
        state,
        attempts: row.get(7)?,
        response_status: row.get(8)?,
        error: row.get(9)?,
        event_time: Time::from_micros(row.get(10)?),
        due: Time::from_micros(row.get(11)?),
        end_time: row.get::<_, Option<i64>>(12)?.map(Time::from_micros),
    })
}

impl State {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "given up",
        }
    }
}

fn written(format: Format) -> &'static str {
    match format {
        Format::Cairn => "CAIRN",
        Format::Mlflow => "MLFLOW",
        Format::Slack => "SLACK",
    }
}

fn format(text: &str) -> Format {
    match text {
        "MLFLOW" => Format::Mlflow,
        "SLACK" => Format::Slack,
        _ => Format::Cairn,
    }
}
