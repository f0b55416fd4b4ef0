//! Reads the tables that [`crate::projection`] writes, and only them.

mod entries;
mod environments;
mod revisions;
mod schemas;
mod secrets;

use cairn_kernel::{Name, Time};
use cairn_projection::rusqlite::{self, Connection};
use cairn_projection::{QueryFault, ReadModel};
use cairn_service::timestamp;
use prost_types::Timestamp;

pub use entries::InForce;

/// What the service answers from.
#[derive(Clone)]
pub struct Query {
    model: ReadModel,
}

impl Query {
    pub fn new(model: ReadModel) -> Self {
        Self { model }
    }

    async fn ask<T, F>(&self, question: F) -> Result<T, QueryFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.model.query(question).await
    }
}

/// The names that a caller may see, ready for a query: all of them, or those at or below some prefixes.
///
/// Put into the query rather than applied to its rows, so that a page is full when there is enough to see.
struct Visible {
    is_all: bool,
    /// As a JSON array.
    prefixes: String,
}

/// True for rows whose `name` the caller may see, given `:is_all` and `:prefixes`.
const VISIBLE: &str = "(:is_all OR EXISTS (SELECT 1 FROM json_each(:prefixes) AS prefix \
    WHERE name = prefix.value OR substr(name, 1, length(prefix.value) + 1) = prefix.value || '/'))";

impl Visible {
    fn of(prefixes: &[Name]) -> Self {
        let is_all = prefixes.iter().any(Name::is_root);
        let texts: Vec<&str> = prefixes.iter().map(Name::as_str).collect();
        Self { is_all, prefixes: serde_json::json!(texts).to_string() }
    }
}

/// A column of microseconds.
fn moment(micros: i64) -> Option<Timestamp> {
    Some(timestamp(Time::from_micros(micros)))
}
