use std::path::Path;
use std::sync::Arc;

use cairn_outbound::{Outbound, SendFault};
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_seal::Sealer;
use cairn_service::{AsOfReads, Deps, Mounted};
use tracing::warn;

use crate::config::Config;
use crate::desk::{Desk, Limits};
use crate::grpc::routes;
use crate::issuer::Polls;
use crate::key_use::KeyUses;
use crate::logins::{LoginQuery, Logins};
use crate::oidc::Directory as Providers;
use crate::people::{People, PeopleFault};
use crate::projection::Directory;
use crate::public::Public;
use crate::query::Query;
use crate::secrets::Secrets;
use crate::sources::Sources;
use crate::{login, reactor, signing};

/// Queries that run at once.
const READERS: usize = 4;

/// Why auth cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    #[error(transparent)]
    ReadModel(#[from] QueryFault),
    #[error(transparent)]
    People(#[from] PeopleFault),
    #[error(transparent)]
    Outbound(#[from] SendFault),
}

/// What auth calls itself when it asks a provider.
const AGENT: &str = concat!("cairn/", env!("CARGO_PKG_VERSION"));

/// Auth, ready to be put behind the guard. Must be called on a tokio runtime.
///
/// `data_folder` is where the table of people and the secrets of providers are kept: not among the views, which may be
/// dropped at any time. `public` is where the gateway is reached; `sealer` seals what tells of people.
pub fn mount(
    deps: &Deps,
    data_folder: &Path,
    config: &Config,
    login: login::Config,
    public: Public,
    sealer: Sealer,
) -> Result<Mounted, MountFault> {
    let people = People::open(&data_folder.join("auth-people.sqlite"))?;
    let model = ReadModel::open(&deps.views_folder.join("auth.sqlite"), READERS)?;
    let view = View::start(Arc::clone(&deps.store), &model, Directory)?;
    let past = AsOfReads::start(deps, "auth.past.sqlite", Directory)?;
    let logins = ReadModel::open(&deps.views_folder.join("auth-logins.sqlite"), READERS)?;
    let logins_view = View::start(Arc::clone(&deps.store), &logins, Logins)?;
    let logins_past = AsOfReads::start(deps, "auth-logins.past.sqlite", Logins)?;
    let outbound = Outbound::new(login.allowed(), AGENT)?;
    let mut views: Vec<_> = past.view().into_iter().chain(logins_past.view()).cloned().collect();
    let desk = Arc::new(Desk {
        commands: deps.commands.clone(),
        access: Arc::clone(&deps.access),
        clock: Arc::clone(&deps.clock),
        view: view.clone(),
        query: Query::new(model),
        past,
        people,
        logins: LoginQuery::new(logins),
        logins_view: logins_view.clone(),
        logins_past,
        providers: Providers::new(outbound, login.provider_timeout(), login.provider_keys_again()),
        secrets: Secrets::new(&data_folder.join("auth-secrets.json"), sealer.clone()),
        sources: Sources::new(sealer),
        public,
        login,
        polls: Polls::default(),
        limits: Limits::of(config),
        _key_uses: KeyUses::note(deps),
        turn: tokio::sync::Mutex::new(()),
    });
    tokio::spawn({
        let secrets = desk.secrets.clone();
        async move {
            if let Err(fault) = secrets.seal_the_open().await {
                warn!(%fault, "secrets of identity providers that an earlier build kept could not be sealed");
            }
        }
    });
    reactor::start(&desk);
    signing::start(&desk);
    views.extend([view, logins_view]);
    Ok(Mounted { role: "auth", routes: routes(&desk), views })
}
