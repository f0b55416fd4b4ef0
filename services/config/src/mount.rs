use std::sync::Arc;

use cairn_projection::{QueryFault, ReadModel, View};
use cairn_seal::Sealer;
use cairn_service::{AsOfReads, Deps, Mounted};

use crate::desk::Desk;
use crate::grpc::routes;
use crate::projection::Directory;
use crate::query::Query;
use crate::reactor;
use crate::settings::Settings;

/// Queries that run at once.
const READERS: usize = 4;

/// Why configuration cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    #[error(transparent)]
    ReadModel(#[from] QueryFault),
}

/// Configuration and secrets, ready to be put behind the guard. Must be called on a tokio runtime.
pub fn mount(deps: &Deps, sealer: Sealer, settings: Arc<dyn Settings>) -> Result<Mounted, MountFault> {
    let model = ReadModel::open(&deps.views_folder.join("config.sqlite"), READERS)?;
    let view = View::start(Arc::clone(&deps.store), &model, Directory)?;
    let past = AsOfReads::start(deps, "config.past.sqlite", Directory)?;
    let mut views: Vec<_> = past.view().cloned().into_iter().collect();
    let desk = Arc::new(Desk {
        commands: deps.commands.clone(),
        view: view.clone(),
        query: Query::new(model),
        past,
        sealer,
        settings,
    });
    reactor::start(&desk);
    views.push(view);
    Ok(Mounted { role: "config", routes: routes(&desk), views })
}
