use cairn_points::EngineFault;
use cairn_postgres::Link;
use tokio_postgres::Error;

/// The shape of the tables. A newer one is refused.
const VERSION: i32 = 1;
/// Guards the making of tables, until the transaction ends: "CAIP".
const LOCK: i32 = 0x4341_4950;

/// The statements, for tables in a schema.
pub(crate) struct Statements {
    create: String,
    version: String,
    pub(crate) checkpoint: String,
    pub(crate) take_over: String,
    pub(crate) advance: String,
    pub(crate) name_series: String,
    pub(crate) find_series: String,
    pub(crate) insert: String,
    pub(crate) history: String,
    pub(crate) history_after: String,
    pub(crate) by_step: String,
}

impl Statements {
    /// A series is named once and its points by number. The key of a point is all of it, so that what was logged twice is one
    /// row, and a page of a history is a stretch of the index. NaN equals itself there and is after every number, as it should
    /// be.
    pub(crate) fn new(s: &str) -> Self {
        let key = "SELECT id FROM {s}.series WHERE project = $1 AND run = $2 AND metric = $3".replace("{s}", s);
        Self {
            create: format!(
                "BEGIN;
                 SELECT pg_advisory_xact_lock({LOCK}, hashtext('{s}'));
                 CREATE SCHEMA IF NOT EXISTS {s};
                 CREATE TABLE IF NOT EXISTS {s}.checkpoint (
                     one boolean PRIMARY KEY DEFAULT true CHECK (one),
                     version integer NOT NULL,
                     tenure bigint NOT NULL,
                     position bigint NOT NULL,
                     event uuid,
                     time bigint NOT NULL
                 ) WITH (fillfactor = 10);
                 CREATE TABLE IF NOT EXISTS {s}.series (
                     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     project text COLLATE \"C\" NOT NULL,
                     run text COLLATE \"C\" NOT NULL,
                     metric text COLLATE \"C\" NOT NULL,
                     UNIQUE (run, metric, project)
                 );
                 CREATE TABLE IF NOT EXISTS {s}.points (
                     series bigint NOT NULL,
                     time_ms bigint NOT NULL,
                     step bigint NOT NULL,
                     value double precision NOT NULL,
                     PRIMARY KEY (series, time_ms, step, value)
                 );
                 INSERT INTO {s}.checkpoint (version, tenure, position, time) VALUES ({VERSION}, 0, 0, 0)
                 ON CONFLICT DO NOTHING;
                 COMMIT"
            ),
            version: format!("SELECT version FROM {s}.checkpoint"),
            checkpoint: format!("SELECT position, event, time FROM {s}.checkpoint"),
            take_over: format!("UPDATE {s}.checkpoint SET tenure = tenure + 1 RETURNING position, event, time, tenure"),
            advance: format!(
                "UPDATE {s}.checkpoint SET position = $3, event = $4, time = $5 WHERE tenure = $1 AND position = $2"
            ),
            name_series: format!(
                "INSERT INTO {s}.series (project, run, metric)
                 SELECT DISTINCT * FROM unnest($1, $2, $3) ON CONFLICT DO NOTHING"
            ),
            find_series: format!(
                "SELECT s.id FROM unnest($1, $2, $3) WITH ORDINALITY AS n (project, run, metric, at)
                 JOIN {s}.series s ON s.run = n.run AND s.metric = n.metric AND s.project = n.project ORDER BY n.at"
            ),
            insert: format!(
                "INSERT INTO {s}.points (series, time_ms, step, value)
                 SELECT * FROM unnest($1, $2, $3, $4) ON CONFLICT DO NOTHING"
            ),
            history: format!(
                "SELECT step, time_ms, value FROM {s}.points WHERE series = ({key})
                 ORDER BY time_ms, step, value LIMIT $4"
            ),
            history_after: format!(
                "SELECT step, time_ms, value FROM {s}.points
                 WHERE series = ({key}) AND (time_ms, step, value) > ($5, $6, $7)
                 ORDER BY time_ms, step, value LIMIT $4"
            ),
            by_step: format!(
                "SELECT step, time_ms, value FROM {s}.points WHERE series = ({key}) AND step BETWEEN $4 AND $5
                 ORDER BY step, time_ms, value"
            ),
        }
    }

    /// Makes the tables where there are none, and refuses those of a newer version.
    pub(crate) async fn prepare(&self, link: &Link) -> Result<Result<(), EngineFault>, Error> {
        // Whoever may not make a schema was given one with the tables in it.
        let found = match link.query_typed_one(&self.version, &[]).await {
            Ok(row) => row,
            Err(_) => {
                link.batch_execute(&self.create).await?;
                link.query_typed_one(&self.version, &[]).await?
            }
        };
        let found: i32 = found.try_get(0)?;
        let too_new =
            || format!("METRIC_STORE_TOO_NEW: its tables have version {found}, and this program knows {VERSION}");
        Ok(if found > VERSION { Err(EngineFault::Unsuitable(too_new())) } else { Ok(()) })
    }
}
