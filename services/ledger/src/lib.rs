//! The log for people: who did what, when, to what and why it was allowed, and the events themselves.
//!
//! Reads every event and writes none. The journal view keeps one small row per event, to find positions by; what an
//! answer shows is read from the log itself, so there is no second copy of it that could say something else. Knows no
//! service's rules, only the contract by which any event can be shown.

mod entry;
mod grpc;
mod journal;
mod log;
mod page;
mod query;
mod reading;
mod render;
mod scope;

use std::sync::Arc;

use cairn_contract::cairn::ledger::v1::ledger_service_server::LedgerServiceServer;
use cairn_contract::{Contract, Violations};
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{Deps, Mounted};
use tonic::service::Routes;

use crate::grpc::Grpc;
use crate::query::Query;

pub use crate::journal::Journal;

/// Queries of the journal at once; more wait.
const READERS: usize = 4;

/// Why the role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    #[error(transparent)]
    ReadModel(#[from] QueryFault),
    #[error(transparent)]
    Contract(&'static Violations),
}

/// Starts the role in this process.
pub fn mount(deps: &Deps) -> Result<Mounted, MountFault> {
    let contract = Contract::embedded().map_err(MountFault::Contract)?;
    let model = ReadModel::open(&deps.views_folder.join("ledger.sqlite"), READERS)?;
    let view = View::start(Arc::clone(&deps.store), &model, Journal)?;
    let grpc = Grpc::new(contract, Query::new(model), Arc::clone(&deps.store), view.clone());
    Ok(Mounted { role: "ledger", routes: Routes::new(LedgerServiceServer::new(grpc)), views: vec![view] })
}
