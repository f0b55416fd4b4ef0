use std::sync::Arc;

use cairn_eventstore::ReadFault;
use cairn_postgres::{Dialer, Size};
use tokio_postgres::Row;

use crate::fault::unread;
use crate::meters::Meters;

pub(crate) use cairn_postgres::Parameters;

/// A few connections for reading.
pub(crate) struct Pool(cairn_postgres::Pool);

impl Pool {
    pub(crate) fn new(dialer: Arc<Dialer>, size: Size, meters: &Meters) -> Self {
        Self(cairn_postgres::Pool::new(dialer, size, meters.read_seconds.clone()))
    }

    /// Runs one statement that may be run twice.
    pub(crate) async fn query(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, ReadFault> {
        self.0.query(sql, parameters).await.map_err(unread)
    }
}
