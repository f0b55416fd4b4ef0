use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{AsOfReads, Deps, Mounted};
use tonic::service::Routes;

use crate::app::App;
use crate::config::Config;
use crate::grpc::add_services;
use crate::mlflow::Mlflow;
use crate::projection::Views;
use crate::query::Query;

/// This service's role.
pub const ROLE: &str = "registry";

/// Opens the read models in a folder, starts following the log, and gives what every surface of this service stands on.
pub fn open(
    store: Arc<dyn EventStore>,
    commands: Commands,
    clock: Arc<dyn Clock>,
    folder: &Path,
    past: AsOfReads,
    config: Config,
) -> Result<(App, View), QueryFault> {
    let model = ReadModel::open(&folder.join("registry.sqlite"), config.readers as usize)?;
    let view = View::start(store, &model, Views)?;
    let app = App::new(commands, clock, view.clone(), Query::new(model), past, config);
    Ok((app, view))
}

/// Runs this service.
pub fn mount(deps: &Deps, config: Config) -> Result<Mounted, QueryFault> {
    let (store, clock) = (Arc::clone(&deps.store), Arc::clone(&deps.clock));
    let past = AsOfReads::start(deps, "registry.past.sqlite", Views)?;
    let mut views: Vec<_> = past.view().cloned().into_iter().collect();
    let (app, view) = open(store, deps.commands.clone(), clock, &deps.views_folder, past, config)?;
    let mut routes = Routes::builder();
    add_services(&mut routes, app.clone(), Arc::clone(&deps.access));
    let routes = Mlflow::new(app).routes(routes.routes());
    views.push(view);
    Ok(Mounted { role: ROLE, routes, views })
}
