use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{Deps, Mounted};
use tonic::service::Routes;

use crate::app::App;
use crate::artifacts::{Artifacts, Storage};
use crate::config::Config;
use crate::grpc::add_services;
use crate::metrics::SqliteMetrics;
use crate::mlflow::Mlflow;
use crate::projection::Views;
use crate::query::Query;

/// This service's role.
pub const ROLE: &str = "experiments";

/// Opens the read models in a folder, starts following the log, and gives what every surface of this service stands on.
pub fn open(
    store: Arc<dyn EventStore>,
    commands: Commands,
    clock: Arc<dyn Clock>,
    folder: &Path,
    config: Config,
) -> Result<(App, View), QueryFault> {
    let model = ReadModel::open(&folder.join("experiments.sqlite"), config.readers as usize)?;
    let view = View::start(store, &model, Views)?;
    let metrics = Arc::new(SqliteMetrics::new(model.clone(), view.clone()));
    let app = App::new(commands, clock, view.clone(), Query::new(model), metrics, config);
    Ok((app, view))
}

/// Runs this service, keeping artifacts in `storage`.
pub fn mount(deps: &Deps, config: Config, storage: Storage) -> Result<Mounted, QueryFault> {
    let (store, clock) = (Arc::clone(&deps.store), Arc::clone(&deps.clock));
    let (app, view) = open(Arc::clone(&store), deps.commands.clone(), clock, &deps.views_folder, config)?;
    let artifacts = Artifacts::start(storage, store, deps.commands.clone(), &deps.views_folder)?;
    let mut routes = Routes::builder();
    add_services(&mut routes, app.clone());
    let routes = artifacts.routes(routes.routes());
    let routes = Mlflow::new(app, artifacts.clone()).routes(routes);
    Ok(Mounted { role: ROLE, routes, views: vec![view, artifacts.view().clone()] })
}
