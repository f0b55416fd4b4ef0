use std::sync::Arc;

use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{Deps, Mounted};
use tonic::service::Routes;

use crate::app::App;
use crate::config::Config;
use crate::metrics::SqliteMetrics;
use crate::projection::Views;
use crate::query::Query;

/// This service's role.
pub const ROLE: &str = "experiments";

/// Opens the read models, starts following the log, and gives what the other surfaces of this service stand on.
pub fn start(deps: &Deps, config: Config) -> Result<(App, View), QueryFault> {
    let model = ReadModel::open(&deps.views_folder.join("experiments.sqlite"), config.readers as usize)?;
    let view = View::start(Arc::clone(&deps.store), &model, Views)?;
    let metrics = Arc::new(SqliteMetrics::new(model.clone(), view.clone()));
    let app =
        App::new(deps.commands.clone(), Arc::clone(&deps.clock), view.clone(), Query::new(model), metrics, config);
    Ok((app, view))
}

/// Runs this service.
pub fn mount(deps: &Deps, config: Config) -> Result<Mounted, QueryFault> {
    let (app, view) = start(deps, config)?;
    let _ = app;
    let routes = Routes::builder();
    Ok(Mounted { role: ROLE, routes: routes.routes(), views: vec![view] })
}
