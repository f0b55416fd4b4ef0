use std::sync::Arc;

use cairn_service::Refusal;

use super::{App, Call};
use crate::metrics::{MetricStore, SqliteMetrics};
use crate::query::Query;

/// What one read sees: the present, or a moment that has passed.
#[derive(Clone)]
pub struct Reading {
    pub query: Query,
    pub metrics: Arc<dyn MetricStore>,
    pub(super) is_past: bool,
}

impl App {
    /// What a call wants to see, once it can be seen.
    pub async fn reading(&self, call: &Call) -> Result<Reading, Refusal> {
        let Some(as_of) = call.as_of else {
            self.settle(call).await?;
            let (query, metrics) = (self.inner.query.clone(), Arc::clone(&self.inner.metrics));
            return Ok(Reading { query, metrics, is_past: false });
        };
        let then = self.inner.past.at(as_of, call.deadline).await?;
        let metrics = Arc::new(SqliteMetrics::new(then.model.clone(), then.view));
        Ok(Reading { query: Query::of_the_past(then.model), metrics, is_past: true })
    }
}
