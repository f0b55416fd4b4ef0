//! Reads the tables that [`crate::projection`] writes, and only them.

mod bindings;
mod break_glass;
mod groups;
mod guardrails;
mod keys;
mod organizations;
mod projects;
mod roles;
mod service_accounts;
mod users;

pub use bindings::BindingFilter;
pub use groups::GroupFilter;

use cairn_kernel::{Name, Time};
use cairn_projection::rusqlite::{Connection, Error, OptionalExtension, Row, named_params};
use cairn_projection::{QueryFault, ReadModel};
use cairn_service::{Page, timestamp};
use prost_types::Timestamp;

/// What the service answers from.
#[derive(Clone)]
pub struct Query {
    model: ReadModel,
}

impl Query {
    pub fn new(model: ReadModel) -> Self {
        Self { model }
    }

    /// One row by its name, whatever its state.
    async fn one<T: Send + 'static>(
        &self,
        table: &'static str,
        columns: &'static str,
        name: &str,
        read: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {columns} FROM {table} WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], read).optional()
        };
        self.model.query(query).await
    }

    /// A page of the principals of one kind that lie at or below `visible`: those in one state, or all but the deleted.
    /// Only of one organization, where the kind has any.
    async fn principals<T: Send + 'static>(
        &self,
        table: &'static str,
        columns: &'static str,
        (visible, page, state): (&[Name], &Page, String),
        organization: Option<&str>,
        read: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        // Compared with itself where there is none to compare with.
        let (column, organization) = match organization {
            Some(organization) => ("organization", organization.to_owned()),
            None => (":organization", String::new()),
        };
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {columns} FROM {table} WHERE name > :after \
                 AND CASE WHEN :state = '' THEN state <> 'deleted' ELSE state = :state END \
                 AND {column} = :organization AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":after": after, ":state": state, ":rows": rows, ":organization": organization,
                ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            select.query_map(parameters, read)?.collect()
        };
        self.model.query(query).await
    }
}

/// The word that a state is kept as: `disabled` for `STATE_DISABLED`, nothing for none in particular.
fn word_of(state: &str) -> String {
    let word = state.strip_prefix("STATE_").unwrap_or(state).to_lowercase();
    if word == "unspecified" { String::new() } else { word }
}

/// The name of the state that a word stands for.
fn state_of(word: &str) -> String {
    format!("STATE_{}", word.to_uppercase())
}

/// The names that a caller may see, ready for a query: all of them, or those at or below some prefixes.
///
/// Put into the query rather than applied to its rows, so that a page is full when there is enough to see.
pub(crate) struct Visible {
    pub is_all: bool,
    /// As a JSON array.
    pub prefixes: String,
}

/// True for rows whose `name` the caller may see, given `:is_all` and `:prefixes`.
pub(crate) const VISIBLE: &str = "(:is_all OR EXISTS (SELECT 1 FROM json_each(:prefixes) AS prefix \
    WHERE name = prefix.value OR substr(name, 1, length(prefix.value) + 1) = prefix.value || '/'))";

impl Visible {
    pub fn of(prefixes: &[Name]) -> Self {
        let is_all = prefixes.iter().any(Name::is_root);
        let texts: Vec<&str> = prefixes.iter().map(Name::as_str).collect();
        Self { is_all, prefixes: json(&texts) }
    }
}

/// A JSON array of texts that hold neither quotes nor backslashes, as names do.
fn json(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    format!("[{}]", quoted.join(","))
}

/// A column of microseconds.
fn moment(micros: i64) -> Option<Timestamp> {
    Some(timestamp(Time::from_micros(micros)))
}
