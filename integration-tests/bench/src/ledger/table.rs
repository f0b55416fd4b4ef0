//! What one would write instead: a table of audit records as JSON, with an index for each question.

use std::path::Path;

use cairn_eventstore::{Direction, EventStore, Filter};
use cairn_kernel::Position;
use rusqlite::{Connection, params};
use serde_json::json;

/// Rows written at once.
const BATCH: usize = 4_096;

pub struct Table(Connection);

impl Table {
    /// The records of a log.
    pub async fn copied(store: &dyn EventStore, head: Position, file: &Path) -> anyhow::Result<Self> {
        let mut db = Connection::open(file)?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
             CREATE TABLE audit (position INTEGER PRIMARY KEY, principal TEXT NOT NULL, resource TEXT NOT NULL, body TEXT NOT NULL);",
        )?;
        let mut from = Position::START;
        while from < head {
            let page = store.read_all(from, Direction::Forwards, &Filter::all(), BATCH).await?;
            let tx = db.transaction()?;
            for event in &page.events {
                let metadata = event.metadata();
                let body = json!({
                    "position": event.position.0, "time": event.time.to_string(), "type": &*event.kind,
                    "stream": event.stream.as_str(), "principal": metadata.principal, "action": metadata.action,
                    "resource": metadata.resource, "request_id": metadata.request_id, "decision_id": metadata.decision_id,
                });
                tx.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    event.position.0.cast_signed(),
                    metadata.principal,
                    metadata.resource,
                    body.to_string()
                ])?;
            }
            tx.commit()?;
            from = page.considered;
        }
        db.execute_batch(
            "CREATE INDEX audit_by_principal ON audit (principal, position);
             CREATE INDEX audit_by_resource ON audit (resource, position);",
        )?;
        Ok(Self(db))
    }

    pub fn newest(&self, count: usize) -> anyhow::Result<usize> {
        self.read("SELECT body FROM audit ORDER BY position DESC LIMIT ?1", params![count as i64])
    }

    pub fn of_principal(&self, principal: &str, count: usize) -> anyhow::Result<usize> {
        let sql = "SELECT body FROM audit WHERE principal = ?1 ORDER BY position DESC LIMIT ?2";
        self.read(sql, params![principal, count as i64])
    }

    /// Of a resource and all below it.
    pub fn below(&self, resource: &str, count: usize) -> anyhow::Result<usize> {
        let sql = "SELECT body FROM audit WHERE resource >= ?1 AND resource < ?2 ORDER BY position DESC LIMIT ?3";
        self.read(sql, params![format!("{resource}/"), format!("{resource}0"), count as i64])
    }

    fn read(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> anyhow::Result<usize> {
        let mut statement = self.0.prepare_cached(sql)?;
        let bodies = statement.query_map(params, |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        Ok(bodies.len())
    }
}
