//! The log for people: who did what, when, to what and why it was allowed, and the events themselves.
//!
//! Reads every event, and writes none but what pipelines outside Cairn tell of their lineage, and which keys sign the log.
//! The journal view keeps one small row per event, to find positions by; what an answer shows is read from the log itself,
//! so there is no second copy of it that could say something else. Knows no service's rules, only the contract by which
//! any event can be shown and has its part in the graph.

mod blocking;
mod config;
mod grpc;
mod journal;
mod lineage;
mod log;
mod names;
mod page;
mod query;
mod reading;
mod render;
mod scope;
mod signing;
mod tree;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_contract::cairn::ledger::v1::ledger_service_server::LedgerServiceServer;
use cairn_contract::cairn::ledger::v1::lineage_service_server::LineageServiceServer;
use cairn_contract::cairn::ledger::v1::organization_log_service_server::OrganizationLogServiceServer;
use cairn_contract::cairn::ledger::v1::signing_service_server::SigningServiceServer;
use cairn_contract::cairn::ledger::v1::transparency_service_server::TransparencyServiceServer;
use cairn_contract::cairn::openlineage::v1::open_lineage_service_server::OpenLineageServiceServer;
use cairn_contract::{Contract, Violations};
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{Deps, Mounted};
use tonic::service::Routes;

use crate::grpc::{Grpc, Lineage, OpenLineage, SigningDesk, Transparency};
use crate::lineage::{Broken, ReceiveLimits};
use crate::query::Query;
use crate::signing::Desk;
use crate::tree::{Secrets, SecretsFault, SignedCheckpoints, SignedFault, Signer, Witness, WitnessFault, Witnesses};

pub use crate::config::Config;
pub use crate::journal::Journal;
pub use crate::lineage::{Annotations, Graph, Limits, Towards, names_around};
pub use crate::tree::Tree;

/// Queries of the journal at once; more wait.
const READERS: usize = 4;

/// Why the role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    #[error(transparent)]
    ReadModel(#[from] QueryFault),
    #[error(transparent)]
    Contract(&'static Violations),
    #[error(transparent)]
    Lineage(#[from] Broken),
    #[error(transparent)]
    Secrets(#[from] SecretsFault),
    #[error(transparent)]
    Signed(#[from] SignedFault),
    #[error(transparent)]
    Witness(#[from] WitnessFault),
    #[error("the client for witnesses cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Starts the role in this process. `data_folder` is where its keys and what it signed are kept: not among the views,
/// which may be dropped at any time.
pub fn mount(deps: &Deps, config: &Config, data_folder: &Path) -> Result<Mounted, MountFault> {
    let contract = Contract::embedded().map_err(MountFault::Contract)?;
    let model = ReadModel::open(&deps.views_folder.join("ledger.sqlite"), READERS)?;
    let view = View::start(Arc::clone(&deps.store), &model, Journal)?;
    let query = Query::new(model);
    let lineage = lineage(deps, config, contract, &query, &view)?;
    let transparency = transparency(deps, config, contract, &data_folder.join("ledger"))?;
    let grpc = Grpc::new(contract, query, Arc::clone(&deps.store), view.clone(), &transparency.desk.secrets.log());
    let views = vec![view, transparency.view.clone(), lineage.view.clone()];
    let open_lineage = OpenLineage {
        contract,
        store: Arc::clone(&deps.store),
        view: lineage.view.clone(),
        limits: ReceiveLimits {
            bytes_max: config.openlineage_bytes_max,
            datasets_max: config.openlineage_datasets_max,
        },
    };
    let signing = SigningDesk {
        desk: Arc::clone(&transparency.desk),
        view: transparency.view.clone(),
        overlap_days: config.signing_overlap_days,
    };
    let routes = Routes::new(LedgerServiceServer::new(grpc))
        .add_service(SigningServiceServer::new(signing))
        .add_service(OrganizationLogServiceServer::new(transparency.clone()))
        .add_service(TransparencyServiceServer::new(transparency))
        .add_service(LineageServiceServer::new(lineage))
        .add_service(OpenLineageServiceServer::new(open_lineage));
    Ok(Mounted { role: "ledger", routes, views })
}

/// The graph has a file of its own: it hears of few events, and is read with other queries than the journal.
fn lineage(
    deps: &Deps,
    config: &Config,
    contract: &'static Contract,
    journal: &Query,
    journal_view: &View,
) -> Result<Lineage, MountFault> {
    let model = ReadModel::open(&deps.views_folder.join("ledger-lineage.sqlite"), READERS)?;
    let graph = Graph::new(Arc::new(Annotations::of(contract)?));
    let view = View::start(Arc::clone(&deps.store), &model, graph)?;
    Ok(Lineage {
        model,
        view,
        journal: journal.clone(),
        journal_view: journal_view.clone(),
        store: Arc::clone(&deps.store),
        clock: Arc::clone(&deps.clock),
        limits: Limits {
            depth: config.lineage_depth_max,
            nodes_max: config.lineage_nodes_max,
            edges_per_node_max: config.lineage_edges_per_node_max,
            edges_max: config.lineage_edges_max,
        },
    })
}

fn transparency(
    deps: &Deps,
    config: &Config,
    contract: &'static Contract,
    folder: &Path,
) -> Result<Transparency, MountFault> {
    let secrets = Arc::new(Secrets::open(&folder.join("keys.json"))?);
    let signed = SignedCheckpoints::open(&folder.join("checkpoints.db"))?;
    let model = ReadModel::open(&deps.views_folder.join("ledger-tree.sqlite"), READERS)?;
    let view = View::start(Arc::clone(&deps.store), &model, Tree::new(Arc::clone(&secrets), contract))?;
    let witnesses = config.witnesses.iter().map(|text| text.parse()).collect::<Result<Vec<Witness>, _>>()?;
    let timeout = Duration::from_millis(config.witness_timeout_ms);
    let (commands, clock) = (deps.commands.clone(), Arc::clone(&deps.clock));
    let desk = Arc::new(Desk::new(secrets, signed, model.clone(), commands, clock));
    Signer {
        desk: Arc::clone(&desk),
        view: view.clone(),
        store: Arc::clone(&deps.store),
        witnesses: Witnesses::new(witnesses, timeout, model.clone())?,
    }
    .start();
    Ok(Transparency { contract, model, view, store: Arc::clone(&deps.store), desk })
}
