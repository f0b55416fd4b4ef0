use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_objects::ObjectStore;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_seal::Sealer;
use cairn_service::{AsOfReads, Deps, Mounted};
use tonic::service::Routes;

use crate::app::App;
use crate::cards::Cards;
use crate::config::Config;
use crate::files::Files;
use crate::functions::{self, Functions};
use crate::grpc::add_services;
use crate::hooks::{self, ToolsFault, Working};
use crate::mlflow::Mlflow;
use crate::projection::Views;
use crate::query::Query;

/// This service's role.
pub const ROLE: &str = "registry";

/// Opens the read models in a folder, starts following the log, and gives what every surface of this service stands on.
#[expect(clippy::too_many_arguments, reason = "what it stands on, each once")]
pub fn open(
    store: Arc<dyn EventStore>,
    commands: Commands,
    clock: Arc<dyn Clock>,
    folder: &Path,
    past: AsOfReads,
    config: Config,
    tools: Working,
    objects: Arc<dyn ObjectStore>,
) -> Result<(App, [View; 2]), QueryFault> {
    let model = ReadModel::open(&folder.join("registry.sqlite"), config.readers as usize)?;
    let view = View::start(Arc::clone(&store), &model, Views)?;
    let files = Files::start(objects, store, folder, &config)?;
    let views = [view.clone(), files.view().clone()];
    Ok((App::new(commands, clock, view, Query::new(model), past, config, tools, files), views))
}

/// How this service is set up.
pub struct Settings {
    pub registry: Config,
    pub functions: functions::Config,
    pub hooks: hooks::Config,
    /// Where packages of functions are kept, and the files of versions.
    pub objects: Arc<dyn ObjectStore>,
    /// What seals the addresses and secrets of hooks.
    pub sealer: Sealer,
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
    let Settings { registry: config, functions, hooks, objects, sealer } = settings;
    let (store, clock) = (Arc::clone(&deps.store), Arc::clone(&deps.clock));
    let past = AsOfReads::start(deps, "registry.past.sqlite", Views)?;
    let mut views: Vec<_> = past.view().cloned().into_iter().collect();
    let tools = hooks::open(&store, deps.commands.clone(), Arc::clone(&clock), data_folder, hooks, sealer)?;
    let (folder, kept) = (&deps.views_folder, Arc::clone(&objects));
    let (app, own) = open(Arc::clone(&store), deps.commands.clone(), clock, folder, past, config, tools, kept)?;
    let cards = Cards::start(app.clone(), Arc::clone(&store), &deps.views_folder)?;
    let functions = Functions::start(objects, store, deps.commands.clone(), &deps.views_folder, functions)?;
    let mut routes = Routes::builder();
    add_services(&mut routes, app.clone(), Arc::clone(&deps.access));
    let routes = Mlflow::new(app).routes(cards.routes(functions.routes(routes.routes())));
    views.extend(own);
    views.extend([functions.view().clone(), cards.view().clone()]);
    Ok(Mounted { role: ROLE, routes, views })
}
