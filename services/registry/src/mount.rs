use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{Deps, Mounted};
use tonic::service::Routes;

use crate::app::App;
use crate::config::Config;
use crate::grpc::add_services;
use crate::hooks::{self, Tools, ToolsFault};
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
    config: Config,
    tools: Arc<Tools>,
) -> Result<(App, View), QueryFault> {
    let model = ReadModel::open(&folder.join("registry.sqlite"), config.readers as usize)?;
    let view = View::start(store, &model, Views)?;
    let app = App::new(commands, clock, view.clone(), Query::new(model), config, tools);
    Ok((app, view))
}

/// What this service can be told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub registry: Config,
    pub hooks: hooks::Config,
}

/// Why the registry cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    #[error(transparent)]
    ReadModel(#[from] QueryFault),
    #[error(transparent)]
    Hooks(#[from] ToolsFault),
}

/// Runs this service. Must be called on a tokio runtime.
///
/// `data_folder` is where hooks keep what is in no view: their credentials, and what was delivered.
pub fn mount(deps: &Deps, settings: Settings, data_folder: &Path) -> Result<Mounted, MountFault> {
    let (store, clock) = (Arc::clone(&deps.store), Arc::clone(&deps.clock));
    let Settings { registry, hooks } = settings;
    let tools = hooks::open(&store, deps.commands.clone(), Arc::clone(&clock), data_folder, hooks)?;
    let (app, view) = open(store, deps.commands.clone(), clock, &deps.views_folder, registry, tools)?;
    let mut routes = Routes::builder();
    add_services(&mut routes, app.clone(), Arc::clone(&deps.access));
    let routes = Mlflow::new(app).routes(routes.routes());
    Ok(Mounted { role: ROLE, routes, views: vec![view] })
}
