//! What a schema knows about the copies in it: whose turn it is to write, and how far each has come.

use std::collections::HashMap;
use std::time::Duration;

use cairn_kernel::Position;
use cairn_postgres::{Link, Parameters};
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use crate::plan::Known;

/// The shape of these tables. A newer one is refused.
const VERSION: i32 = 1;
/// Guards the making of them, until the transaction ends: "CAIM".
const LOCK: i32 = 0x4341_494d;

/// Why the copies in a schema are not for this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("READ_MODELS_TOO_NEW: schema {schema} has version {found}, and this program knows {VERSION}")]
    TooNew { schema: String, found: i32 },
    #[error("READ_MODELS_FOREIGN: schema {schema} holds the read models of another deployment")]
    Foreign { schema: String },
}

/// The statements for one schema.
pub(crate) struct Schema {
    pub name: String,
    deployment: String,
    create: String,
    whose: String,
    begin_turn: String,
    renew: String,
    release: String,
    known: String,
    advance: String,
    forget: String,
    filled: String,
}

/// What a finished copy is noted down with.
pub(crate) struct Filled<'a> {
    pub view: &'a str,
    pub known: &'a Known,
    pub tables: Vec<&'a str>,
    pub views: Vec<String>,
}

impl Schema {
    pub fn new(name: &str, deployment: &str) -> Self {
        let s = name;
        let owner = deployment.replace('\'', "''");
        Self {
            name: name.to_owned(),
            deployment: deployment.to_owned(),
            create: format!(
                "BEGIN;
                 SELECT pg_advisory_xact_lock({LOCK}, hashtext('{s}'));
                 CREATE SCHEMA IF NOT EXISTS {s};
                 CREATE TABLE IF NOT EXISTS {s}.writer (
                     one boolean PRIMARY KEY DEFAULT true CHECK (one),
                     version integer NOT NULL,
                     deployment text NOT NULL,
                     turn bigint NOT NULL,
                     holder text NOT NULL,
                     until timestamptz NOT NULL
                 ) WITH (fillfactor = 10);
                 CREATE TABLE IF NOT EXISTS {s}.checkpoint (
                     view text COLLATE \"C\" PRIMARY KEY,
                     form text NOT NULL,
                     tables text[] NOT NULL,
                     views text[] NOT NULL,
                     position bigint NOT NULL,
                     last_position bigint,
                     last_event uuid,
                     fill_time timestamptz NOT NULL,
                     update_time timestamptz NOT NULL
                 ) WITH (fillfactor = 50);
                 INSERT INTO {s}.writer (version, deployment, turn, holder, until)
                 VALUES ({VERSION}, '{owner}', 0, '', '-infinity') ON CONFLICT DO NOTHING;
                 COMMIT"
            ),
            whose: format!("SELECT version, deployment FROM {s}.writer"),
            begin_turn: format!(
                "UPDATE {s}.writer SET turn = turn + 1, holder = $1, until = clock_timestamp() + $2 * interval '1 ms'
                 WHERE one = (SELECT one FROM {s}.writer WHERE until < clock_timestamp() OR holder = $1
                              FOR UPDATE SKIP LOCKED)
                 RETURNING turn"
            ),
            renew: format!("UPDATE {s}.writer SET until = clock_timestamp() + $2 * interval '1 ms' WHERE turn = $1"),
            release: format!("UPDATE {s}.writer SET until = '-infinity' WHERE turn = $1"),
            known: format!("SELECT view, form, position, last_position, last_event FROM {s}.checkpoint"),
            advance: format!(
                "UPDATE {s}.checkpoint SET position = $4, last_position = $5, last_event = $6, update_time = now()
                 WHERE view = $1 AND form = $2 AND position = $3"
            ),
            forget: format!("DELETE FROM {s}.checkpoint WHERE view = $1 OR tables && $2 RETURNING tables, views"),
            filled: format!("INSERT INTO {s}.checkpoint VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), now())"),
        }
    }

    /// Makes the tables where there are none, and refuses those that are not for us.
    pub async fn prepare(&self, link: &Link) -> Result<Result<(), Unfit>, Error> {
        // Whoever may not make a schema was given one with the tables in it.
        let found = match link.query_typed_one(&self.whose, &[]).await {
            Ok(row) => row,
            Err(_) => {
                link.batch_execute(&self.create).await?;
                link.query_typed_one(&self.whose, &[]).await?
            }
        };
        let (version, deployment): (i32, String) = (found.try_get(0)?, found.try_get(1)?);
        let schema = self.name.clone();
        Ok(match () {
            () if version > VERSION => Err(Unfit::TooNew { schema, found: version }),
            () if deployment != self.deployment => Err(Unfit::Foreign { schema }),
            () => Ok(()),
        })
    }

    /// Begins a turn if nobody has one, or the one that this process had. It ends by itself unless it is renewed, by the clock of the server.
    pub async fn begin_turn(&self, link: &Link, holder: &str, lease: Duration) -> Result<Option<i64>, Error> {
        let found =
            link.query_typed(&self.begin_turn, &[(&holder, Type::TEXT), (&millis(lease), Type::FLOAT8)]).await?;
        found.first().map(|row| row.try_get(0)).transpose()
    }

    /// `false`: it is another's turn. In a transaction, nobody begins one until that ends.
    pub async fn renew(&self, link: &Link, turn: i64, lease: Duration) -> Result<bool, Error> {
        let renewed = link.execute_typed(&self.renew, &[(&turn, Type::INT8), (&millis(lease), Type::FLOAT8)]).await?;
        Ok(renewed == 1)
    }

    /// Ends a turn, so that somebody else may begin one at once.
    pub async fn release(&self, link: &Link, turn: i64) -> Result<(), Error> {
        link.execute_typed(&self.release, &[(&turn, Type::INT8)]).await.map(drop)
    }

    /// Where every copy stands.
    pub async fn known(&self, link: &Link) -> Result<HashMap<String, Known>, Error> {
        link.query_typed(&self.known, &[]).await?.iter().map(known).collect()
    }

    /// Moves a checkpoint. `false`: it is not where it was.
    pub async fn advance(&self, link: &Link, view: &str, from: &Known, to: &Known) -> Result<bool, Error> {
        let (last_position, last_event) = last(to);
        let moved = link
            .execute_typed(
                &self.advance,
                &[
                    (&view, Type::TEXT),
                    (&to.form, Type::TEXT),
                    (&number(from.position), Type::INT8),
                    (&number(to.position), Type::INT8),
                    (&last_position, Type::INT8),
                    (&last_event, Type::UUID),
                ],
            )
            .await?;
        Ok(moved == 1)
    }

    /// Notes down a copy that was made anew. Gives what was there of it before, or in the way: tables and views.
    pub async fn filled(&self, link: &Link, filled: &Filled<'_>) -> Result<(Vec<String>, Vec<String>), Error> {
        let (mut tables, mut views) = (vec![], vec![]);
        let ours: &Parameters<'_> = &[(&filled.view, Type::TEXT), (&filled.tables, Type::TEXT_ARRAY)];
        for row in link.query_typed(&self.forget, ours).await? {
            tables.extend(row.try_get::<_, Vec<String>>(0)?);
            views.extend(row.try_get::<_, Vec<String>>(1)?);
        }
        let (last_position, last_event) = last(filled.known);
        link.execute_typed(
            &self.filled,
            &[
                (&filled.view, Type::TEXT),
                (&filled.known.form, Type::TEXT),
                (&filled.tables, Type::TEXT_ARRAY),
                (&filled.views, Type::TEXT_ARRAY),
                (&number(filled.known.position), Type::INT8),
                (&last_position, Type::INT8),
                (&last_event, Type::UUID),
            ],
        )
        .await?;
        Ok((tables, views))
    }
}

fn known(row: &Row) -> Result<(String, Known), Error> {
    let position = |at| Ok::<_, Error>(row.try_get::<_, Option<i64>>(at)?.map(|at| Position(at.cast_unsigned())));
    let last = position(3)?.zip(row.try_get::<_, Option<Uuid>>(4)?);
    Ok((row.try_get(0)?, Known { form: row.try_get(1)?, position: position(2)?.unwrap_or(Position::START), last }))
}

fn last(known: &Known) -> (Option<i64>, Option<Uuid>) {
    (known.last.map(|(at, _)| number(at)), known.last.map(|(_, id)| id))
}

fn number(position: Position) -> i64 {
    position.0.cast_signed()
}

fn millis(lease: Duration) -> f64 {
    lease.as_secs_f64() * 1000.0
}
