use std::path::Path;
use std::sync::Arc;

use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::{AsOfReads, Deps, Mounted};

use crate::config::Config;
use crate::desk::{Desk, Limits};
use crate::grpc::routes;
use crate::people::{People, PeopleFault};
use crate::projection::Directory;
use crate::query::Query;
use crate::reactor;

/// Queries that run at once.
const READERS: usize = 4;

/// Why auth cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    #[error(transparent)]
    ReadModel(#[from] QueryFault),
    #[error(transparent)]
    People(#[from] PeopleFault),
}

/// Auth, ready to be put behind the guard. Must be called on a tokio runtime.
///
/// `data_folder` is where the table of people is kept: not among the views, which may be dropped at any time.
pub fn mount(deps: &Deps, data_folder: &Path, config: &Config) -> Result<Mounted, MountFault> {
    let people = People::open(&data_folder.join("auth-people.sqlite"))?;
    let model = ReadModel::open(&deps.views_folder.join("auth.sqlite"), READERS)?;
    let view = View::start(Arc::clone(&deps.store), &model, Directory)?;
    let past = AsOfReads::start(deps, "auth.past.sqlite", Directory)?;
    let mut views: Vec<_> = past.view().cloned().into_iter().collect();
    let desk = Arc::new(Desk {
        commands: deps.commands.clone(),
        access: Arc::clone(&deps.access),
        clock: Arc::clone(&deps.clock),
        view: view.clone(),
        query: Query::new(model),
        past,
        people,
        limits: Limits::of(config),
        turn: tokio::sync::Mutex::new(()),
    });
    reactor::start(&desk);
    views.push(view);
    Ok(Mounted { role: "auth", routes: routes(&desk), views })
}
