//! Refusals, found by the id of the decision. The view holds where they stand in the log; the log holds what they say.

use std::sync::Arc;

use cairn_contract::cairn::ledger::events::v1::AccessDenied;
use cairn_eventstore::{Direction, EventStore, Filter, Recorded};
use cairn_kernel::Position;
use cairn_projection::rusqlite::{Connection, OptionalExtension, Transaction, params};
use cairn_projection::{Projection, ProjectionFault, ReadModel, View};
use cairn_service::{Refusal, refuse};
use prost::{Message, Name};
use tokio::time::Instant;
use tonic::Status;

use crate::stored::read;

/// Where the guard records what it refused.
const CATEGORY: &str = "ledger.access";

/// Writes down where each refusal stands.
pub struct Decisions;

impl Projection for Decisions {
    const NAME: &'static str = "auth.decisions.v1";
    const SCHEMA: &'static str =
        "CREATE TABLE decisions (id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID";

    fn filter(&self) -> Filter {
        Filter { categories: vec![CATEGORY.to_owned()], kinds: vec![AccessDenied::full_name()] }
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let mut insert = tx.prepare_cached("INSERT OR REPLACE INTO decisions (id, position) VALUES (?1, ?2)")?;
        for recorded in events {
            let denied: AccessDenied = read(&recorded.payload)?;
            let id = denied.call.map(|call| call.decision_id).unwrap_or_default();
            if !id.is_empty() {
                insert.execute(params![id, i64::try_from(recorded.position.0).unwrap_or(i64::MAX)])?;
            }
        }
        Ok(())
    }
}

/// Where refusals are found.
pub struct Refusals {
    pub view: View,
    pub model: ReadModel,
}

impl Refusals {
    /// The refusal with a decision's id, and how it is recorded. One that was recorded before the call is found.
    pub async fn find(
        &self,
        store: &Arc<dyn EventStore>,
        id: &str,
        deadline: Instant,
    ) -> Result<Option<(AccessDenied, Arc<Recorded>)>, Status> {
        let recorded = *store.head().borrow();
        self.view.reached(recorded, deadline).await.map_err(refuse)?;
        let id = id.to_owned();
        let query = move |connection: &Connection| {
            let mut select = connection.prepare_cached("SELECT position FROM decisions WHERE id = ?1")?;
            select.query_row([id], |row| row.get::<_, i64>(0)).optional()
        };
        let Some(position) = self.model.query(query).await.map_err(refuse)? else { return Ok(None) };
        let before = Position(u64::try_from(position).unwrap_or_default().saturating_sub(1));
        let page = store.read_all(before, Direction::Forwards, &Filter::all(), 1).await.map_err(refuse)?;
        let Some(recorded) = page.events.into_iter().next() else { return Ok(None) };
        let denied =
            AccessDenied::decode(recorded.payload.clone()).map_err(|fault| refuse(Refusal::internal(fault)))?;
        Ok(Some((denied, recorded)))
    }
}
