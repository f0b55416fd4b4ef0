use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{AsOfReads, Deps, Mounted};
use tonic::service::Routes;

use crate::app::App;
use crate::artifacts::{Artifacts, Storage};
use crate::config::Config;
use crate::grpc::add_services;
use crate::ingest::Ingest;
use crate::logs::{self, BookFault, RunLogs};
use crate::metrics::{Followed, MetricStore, SqliteMetrics};
use crate::mlflow::Mlflow;
use crate::projection::{Views, ViewsWithoutPoints};
use crate::query::Query;
use crate::usage;

/// This service's role.
pub const ROLE: &str = "experiments";

/// Opens the read models in a folder, starts following the log, and gives what every surface of this service stands on.
pub fn open(
    store: Arc<dyn EventStore>,
    commands: Commands,
    clock: Arc<dyn Clock>,
    folder: &Path,
    past: AsOfReads,
    config: Config,
) -> Result<(App, View), QueryFault> {
    open_with(store, commands, clock, folder, past, config, None)
}

/// The same with points in a store of their own, if there is one.
pub fn open_with(
    store: Arc<dyn EventStore>,
    commands: Commands,
    clock: Arc<dyn Clock>,
    folder: &Path,
    past: AsOfReads,
    config: Config,
    points: Option<Followed>,
) -> Result<(App, View), QueryFault> {
    let model = ReadModel::open(&folder.join("experiments.sqlite"), config.readers as usize)?;
    let (view, metrics): (View, Arc<dyn MetricStore>) = match points {
        Some(points) => (View::start(store, &model, ViewsWithoutPoints)?, Arc::new(points)),
        None => {
            let view = View::start(store, &model, Views)?;
            (view.clone(), Arc::new(SqliteMetrics::new(model.clone(), view)))
        }
    };
    let app = App::new(commands, clock, view.clone(), Query::new(model), metrics, past, config);
    Ok((app, view))
}

/// Why this service cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    #[error(transparent)]
    ReadModel(#[from] QueryFault),
    #[error(transparent)]
    Logs(#[from] BookFault),
}

/// How this service is set up.
pub struct Settings {
    pub experiments: Config,
    pub run_logs: logs::Config,
    /// Where artifacts are kept.
    pub storage: Storage,
    /// Where points are kept, if not among the read models.
    pub points: Option<Followed>,
    /// The queue that points go through, if they go through one.
    pub ingest: Option<Ingest>,
}

/// Runs this service. `data_folder` is where the lines of run logs are kept: not among the views, which may be dropped
/// at any time.
pub fn mount(deps: &Deps, settings: Settings, data_folder: &Path) -> Result<Mounted, MountFault> {
    let Settings { experiments: config, run_logs, storage, points, ingest } = settings;
    let (store, clock) = (Arc::clone(&deps.store), Arc::clone(&deps.clock));
    let past = AsOfReads::start(deps, "experiments.past.sqlite", Views)?;
    let mut views: Vec<_> = past.view().cloned().into_iter().collect();
    let commands = deps.commands.clone();
    let (app, view) = open_with(Arc::clone(&store), commands, clock, &deps.views_folder, past, config, points)?;
    views.push(view);
    let app = match ingest {
        Some(ingest) => {
            ingest.process(app.clone());
            app.queued(ingest)
        }
        None => app,
    };
    let logs = RunLogs::start(app.clone(), Arc::clone(&store), data_folder, run_logs)?;
    let artifacts =
        Artifacts::start(storage, store, deps.commands.clone(), &deps.views_folder, Artifacts::past(deps)?)?;
    let mut routes = Routes::builder();
    add_services(&mut routes, app.clone());
    let routes = logs.routes(artifacts.routes(routes.routes()));
    let routes = usage::add_service(routes, app.clone(), artifacts.clone());
    let routes = Mlflow::new(app, artifacts.clone()).routes(routes);
    views.extend(artifacts.views().cloned());
    Ok(Mounted { role: ROLE, routes, views })
}
