use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_objects::ObjectStore;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{AsOfReads, Deps, Mounted};
use tonic::service::Routes;

use crate::app::App;
use crate::cards::Cards;
use crate::config::Config;
use crate::functions::{self, Functions};
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
    past: AsOfReads,
    config: Config,
    tools: Arc<Tools>,
) -> Result<(App, View), QueryFault> {
    let model = ReadModel::open(&folder.join("registry.sqlite"), config.readers as usize)?;
    let view = View::start(store, &model, Views)?;
    let app = App::new(commands, clock, view.clone(), Query::new(model), past, config, tools);
    Ok((app, view))
}

/// How this service is set up.
pub struct Settings {
    pub registry: Config,
    pub functions: functions::Config,
    pub hooks: hooks::Config,
    /// Where packages of functions are kept.
    pub objects: Arc<dyn ObjectStore>,
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
    let Settings { registry: config, functions, hooks, objects } = settings;
    let (store, clock) = (Arc::clone(&deps.store), Arc::clone(&deps.clock));
    let past = AsOfReads::start(deps, "registry.past.sqlite", Views)?;
    let mut views: Vec<_> = past.view().cloned().into_iter().collect();
    let tools = hooks::open(&store, deps.commands.clone(), Arc::clone(&clock), data_folder, hooks)?;
    let (app, view) = open(Arc::clone(&store), deps.commands.clone(), clock, &deps.views_folder, past, config, tools)?;
    let cards = Cards::start(app.clone(), Arc::clone(&store), &deps.views_folder)?;
    let functions = Functions::start(objects, store, deps.commands.clone(), &deps.views_folder, functions)?;
    let mut routes = Routes::builder();
    add_services(&mut routes, app.clone(), Arc::clone(&deps.access));
    let routes = Mlflow::new(app).routes(cards.routes(functions.routes(routes.routes())));
    views.extend([view, functions.view().clone(), cards.view().clone()]);
    Ok(Mounted { role: ROLE, routes, views })
}
