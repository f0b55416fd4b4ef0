//! The tables of a log: made where there are none, and refused where they are somebody else's.

use cairn_postgres::{DialFault, Link, said};
use tokio_postgres::types::Type;

use crate::OpenFault;
use crate::tables::VERSION;

/// Earlier servers are out of support, and have no `gen_random_uuid`.
const SERVER_MIN: i32 = 130_000;
/// Guards the making of tables: "CAIR".
const LOCK: i32 = 0x4341_4952;

/// Names and types are few or long and repeated in every row, so rows name them by number. The writer gives numbers as it gives
/// positions, in the one row of `head` that it locks: what is rolled back leaves no gap.
///
/// The indexes say once more what the lock is there for: no position twice, no revision twice, no id twice in a stream.
fn create(s: &str) -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS {s};
         CREATE TABLE {s}.head (
             one boolean PRIMARY KEY DEFAULT true CHECK (one),
             log uuid NOT NULL,
             version integer NOT NULL,
             position bigint NOT NULL,
             time bigint NOT NULL,
             streams bigint NOT NULL,
             kinds integer NOT NULL,
             retentions bigint NOT NULL
         ) WITH (fillfactor = 10);
         CREATE TABLE {s}.kinds (id integer PRIMARY KEY, name text COLLATE \"C\" NOT NULL UNIQUE);
         CREATE TABLE {s}.streams (
             id bigint PRIMARY KEY,
             name text COLLATE \"C\" NOT NULL UNIQUE,
             category text COLLATE \"C\" NOT NULL,
             max_age bigint,
             max_count bigint
         );
         CREATE INDEX streams_retained ON {s}.streams (id) WHERE max_age IS NOT NULL OR max_count IS NOT NULL;
         CREATE TABLE {s}.events (
             position bigint PRIMARY KEY,
             stream bigint NOT NULL,
             revision bigint NOT NULL,
             time bigint NOT NULL,
             kind integer NOT NULL,
             id uuid NOT NULL,
             metadata bytea NOT NULL,
             payload bytea NOT NULL,
             CONSTRAINT events_by_stream UNIQUE (stream, revision),
             CONSTRAINT events_by_id UNIQUE (id, stream)
         );
         CREATE TABLE {s}.snapshots (
             stream bigint PRIMARY KEY,
             revision bigint NOT NULL,
             shape text NOT NULL,
             state bytea NOT NULL
         );
         INSERT INTO {s}.head (log, version, position, time, streams, kinds, retentions)
         VALUES (gen_random_uuid(), {VERSION}, 0, {}, 0, 0, 0)",
        i64::MIN
    )
}

/// Makes sure that the tables are there and are ours. However many processes do so at once, one makes them. Gives whether the
/// server cuts statements short that take long.
pub(crate) async fn prepare(link: &Link, schema: &str, place: &str) -> Result<bool, OpenFault> {
    let failed = |error: tokio_postgres::Error| match DialFault::of(&error) {
        DialFault::Unreachable(why) if error.code().is_none() => {
            OpenFault::Unreachable { place: place.to_owned(), why }
        }
        _ => OpenFault::Failed { place: place.to_owned(), why: said(&error) },
    };
    let is_timed = check_server(link, place).await.map_err(failed)??;
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
         SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '10000', true);
         SELECT pg_advisory_xact_lock({LOCK}, hashtext('{schema}'))"
    );
    link.batch_execute(&begin).await.map_err(failed)?;
    match found(link, schema).await.map_err(failed)? {
        Found::Nothing => link.batch_execute(&format!("{}; COMMIT", create(schema))).await.map_err(failed),
        Found::Ours(VERSION) => link.batch_execute("ROLLBACK").await.map_err(failed),
        Found::Ours(found) => {
            let (place, schema) = (place.to_owned(), schema.to_owned());
            return Err(OpenFault::TooNew { place, schema, found, known: VERSION });
        }
        Found::Others => return Err(OpenFault::NotOurs { place: place.to_owned(), schema: schema.to_owned() }),
    }?;
    Ok(is_timed)
}

enum Found {
    Nothing,
    /// A log of this version.
    Ours(i32),
    Others,
}

async fn found(link: &Link, schema: &str) -> Result<Found, tokio_postgres::Error> {
    let sql = "SELECT count(*) FILTER (WHERE c.relname = 'head' AND a.attname = 'log'), count(*)
               FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid JOIN pg_attribute a ON a.attrelid = c.oid
               WHERE n.nspname = $1";
    let row = link.query_typed_one(sql, &[(&schema, Type::TEXT)]).await?;
    match (row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?) {
        (_, 0) => Ok(Found::Nothing),
        (0, _) => Ok(Found::Others),
        _ => {
            let row = link.query_typed_one(&format!("SELECT version FROM {schema}.head"), &[]).await?;
            Ok(Found::Ours(row.try_get(0)?))
        }
    }
}

/// Refuses a server that this cannot work with. Gives whether it cuts long statements short.
async fn check_server(link: &Link, place: &str) -> Result<Result<bool, OpenFault>, tokio_postgres::Error> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
                      current_setting('fsync') = 'on', pg_is_in_recovery(),
                      current_setting('statement_timeout') <> '0'";
    let row = link.query_typed_one(sql, &[]).await?;
    let unsuitable = |why: String| Ok(Err(OpenFault::Unsuitable { place: place.to_owned(), why }));
    let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if version < SERVER_MIN {
        return unsuitable(format!("PostgreSQL {} is too old: 13 or newer is needed", version / 10_000));
    }
    if encoding != "UTF8" {
        return unsuitable(format!("the database is encoded in {encoding}: it must be UTF8"));
    }
    if row.try_get(3)? {
        return unsuitable("the server is a replica: name the one that takes writes".to_owned());
    }
    if !row.try_get::<_, bool>(2)? {
        tracing::warn!("the database runs with fsync off: a power cut may destroy the log");
    }
    Ok(Ok(row.try_get(4)?))
}
