//! What every role stands on: the log, commands, access, and the roles themselves, without any door.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use cairn_access::{Access, Keyring};
use cairn_auth::{Bootstrap, FirstKey, KeyUses, Public};
use cairn_contract::Contract;
use cairn_eventstore::Commands;
use cairn_experiments::artifacts::{self, Storage};
use cairn_experiments::ingest::Ingest;
use cairn_experiments::metrics::Followed;
use cairn_kernel::{Clock, Position, SystemClock};
use cairn_projection::View;
use cairn_seal::Sealer;
use cairn_service::config::Loaded;
use cairn_service::{Checked, Deps, Mounted, past};

use super::live::Known;
use super::read_models::Copies;
use super::role::{Role, Roles};
use super::{Config, Engines, Folder};
use super::{ingest, points};

/// The roles over one store.
pub struct Core {
    pub folder: Folder,
    pub deps: Deps,
    pub mounted: Vec<Mounted>,
    /// The settings that may change while it runs.
    pub known: Arc<Known>,
    /// Where people and applications reach it.
    pub public: Public,
    /// The points of metrics, if an engine of their own keeps them.
    pub points: Option<Followed>,
    /// Where auth is another process, keys are shown here all the same.
    _key_uses: Option<KeyUses>,
    /// The queue that points go through, if they go through one.
    pub ingest: Option<Ingest>,
    /// Copies of read models, if they are kept.
    pub copies: Option<Copies>,
}

impl Core {
    /// Opens the data folder and starts the roles. `http` is where the gateway is reached, `http://127.0.0.1:3001`.
    pub async fn open(loaded: &Loaded, engines: &Engines, roles: &Roles, http: &str) -> anyhow::Result<Self> {
        ingest::check(loaded)?;
        let config = loaded.get::<Config>();
        let folder = Folder::open(&config.data)
            .with_context(|| format!("cannot use the data folder {}", config.data.display()))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut store = engines.open(loaded, &folder).await?;
        if cfg!(debug_assertions) {
            let contract = Contract::embedded().map_err(|violations| anyhow!("{violations}"))?;
            store = Arc::new(Checked::new(contract, store));
        }
        let keyring = config.keyring_file.clone().unwrap_or_else(|| folder.keyring());
        let keyring = Arc::new(Keyring::open(&keyring)?);
        let sealing = loaded.get::<cairn_seal::Config>();
        let deployment = keyring.deployment().to_owned();
        let sealer = sealing.start(folder.path(), keyring.deployment()).await.context("cannot open what is sealed")?;
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), config.state_cache_bytes_max),
            access: Access::start(Arc::clone(&store), Arc::clone(&clock), keyring, &loaded.get()),
            views_folder: folder.views(),
            keeps_past: loaded.get::<past::Config>().enabled,
            store,
            clock,
        };
        let known = Arc::new(Known::new(Arc::new(loaded.clone())));
        let login = loaded.get::<cairn_auth::login::Config>();
        let public = Public::at(login.public_url.as_deref().unwrap_or(http));
        let points = match roles.has(Role::Experiments) {
            true => loaded.get::<points::Config>().open()?,
            false => None,
        };
        let points = points.map(|engine| Followed::start(engine, Arc::clone(&deps.store)));
        let ingest = match roles.has(Role::Experiments) {
            true => ingest::open(loaded, Arc::clone(&deps.store)).await?,
            false => None,
        };
        let mut mounted = vec![];
        if roles.has(Role::Auth) {
            let auth = &loaded.get();
            mounted.push(cairn_auth::mount(&deps, folder.path(), auth, login, public.clone(), sealer.clone())?);
        }
        if roles.has(Role::Experiments) || roles.has(Role::Registry) {
            let objects = loaded.get::<artifacts::Config>();
            let storage = objects.open(folder.path(), http).await.context("cannot open the object store")?;
            mounted.extend(with_objects(
                loaded,
                roles,
                &deps,
                &folder,
                (storage, points.clone(), ingest.clone()),
                &sealer,
            )?);
        }
        if roles.has(Role::Config) {
            mounted.push(cairn_config::mount(&deps, sealer, Arc::clone(&known) as Arc<_>)?);
        }
        if roles.has(Role::Ledger) {
            mounted.push(cairn_ledger::mount(&deps, &loaded.get(), folder.path())?);
            let is_encrypted = loaded.get::<cairn_gateway::Config>().tls().is_some();
            mounted.push(cairn_kurrent::mount(&deps, &loaded.get(), is_encrypted));
        }
        let key_uses = (!roles.has(Role::Auth)).then(|| KeyUses::note(&deps));
        let copies = Copies::start(loaded, &deployment, &mounted)?;
        Ok(Self { folder, deps, mounted, known, public, points, ingest, copies, _key_uses: key_uses })
    }

    /// Makes what a deployment begins with, unless it is there.
    pub async fn begin(&self, loaded: &Loaded) -> anyhow::Result<FirstKey> {
        let config = loaded.get::<Config>();
        let auth = loaded.get::<cairn_auth::Config>();
        let how = Bootstrap {
            chosen_key: auth.bootstrap_key.map(|key| key.expose().to_owned()),
            is_always_allowed: auth.bootstrap_always_allowed,
            key_file: self.folder.first_key(),
            patience: Duration::from_millis(config.ready_timeout_ms),
        };
        Ok(cairn_auth::bootstrap(&self.deps, &how).await?)
    }

    /// Every read model of every role.
    pub fn views(&self) -> Vec<View> {
        self.mounted.iter().flat_map(|role| role.views.clone()).collect()
    }

    /// Waits until every view has seen what is in the log now.
    pub async fn caught_up(&self, deadline: tokio::time::Instant) -> anyhow::Result<()> {
        let head: Position = *self.deps.store.head().borrow();
        self.deps.access.reached(head, deadline).await?;
        for view in self.views() {
            view.reached(head, deadline).await?;
        }
        Ok(())
    }
}

/// The roles that keep files.
fn with_objects(
    loaded: &Loaded,
    roles: &Roles,
    deps: &Deps,
    folder: &Folder,
    (storage, points, ingest): (Storage, Option<Followed>, Option<Ingest>),
    sealer: &Sealer,
) -> anyhow::Result<Vec<Mounted>> {
    let mut mounted = vec![];
    let objects = Arc::clone(&storage.objects);
    if roles.has(Role::Experiments) {
        let settings =
            cairn_experiments::Settings { experiments: loaded.get(), run_logs: loaded.get(), storage, points, ingest };
        mounted.push(cairn_experiments::mount(deps, settings, folder.path())?);
    }
    if roles.has(Role::Registry) {
        let settings = cairn_registry::Settings {
            registry: loaded.get(),
            hooks: loaded.get(),
            functions: loaded.get(),
            objects,
            sealer: sealer.clone(),
        };
        mounted.push(cairn_registry::mount(deps, settings, folder.path())?);
    }
    Ok(mounted)
}
