//! What every role stands on: the log, commands, access, and the roles themselves, without any door.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use cairn_access::{Access, Keyring};
use cairn_auth::{Bootstrap, FirstKey, Public};
use cairn_contract::Contract;
use cairn_eventstore::Commands;
use cairn_experiments::artifacts;
use cairn_kernel::{Clock, Position, SystemClock};
use cairn_projection::View;
use cairn_service::config::Loaded;
use cairn_service::{Checked, Deps, Mounted, past};

use super::live::Known;
use super::{Config, Engines, Folder};

/// The roles over one store.
pub struct Core {
    pub folder: Folder,
    pub deps: Deps,
    pub mounted: Vec<Mounted>,
    /// The settings that may change while it runs.
    pub known: Arc<Known>,
    /// Where people and applications reach it.
    pub public: Public,
}

impl Core {
    /// Opens the data folder and starts every role. `http` is where the gateway is reached, `http://127.0.0.1:3001`.
    pub async fn open(loaded: &Loaded, engines: &Engines, http: &str) -> anyhow::Result<Self> {
        let config = loaded.get::<Config>();
        let folder = Folder::open(&config.data)
            .with_context(|| format!("cannot use the data folder {}", config.data.display()))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut store = engines.open(loaded, &folder).await?;
        if cfg!(debug_assertions) {
            let contract = Contract::embedded().map_err(|violations| anyhow!("{violations}"))?;
            store = Arc::new(Checked::new(contract, store));
        }
        let keyring = Arc::new(Keyring::open(&folder.keyring())?);
        let sealing = loaded.get::<cairn_seal::Config>();
        let sealer = sealing.start(folder.path(), keyring.deployment()).await.context("cannot open what is sealed")?;
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), config.state_cache_bytes_max),
            access: Access::start(Arc::clone(&store), Arc::clone(&clock), keyring, &loaded.get()),
            views_folder: folder.views(),
            keeps_past: loaded.get::<past::Config>().enabled,
            store,
            clock,
        };
        let objects = loaded.get::<artifacts::Config>();
        let storage = objects.open(folder.path(), http).await.context("cannot open the object store")?;
        let registry = cairn_registry::Settings {
            registry: loaded.get(),
            hooks: loaded.get(),
            functions: loaded.get(),
            objects: Arc::clone(&storage.objects),
            sealer: sealer.clone(),
        };
        let experiments = cairn_experiments::Settings { experiments: loaded.get(), run_logs: loaded.get(), storage };
        let known = Arc::new(Known::new(Arc::new(loaded.clone())));
        let login = loaded.get::<cairn_auth::login::Config>();
        let public = Public::at(login.public_url.as_deref().unwrap_or(http));
        let mounted = vec![
            cairn_auth::mount(&deps, folder.path(), &loaded.get(), login, public.clone(), sealer.clone())?,
            cairn_experiments::mount(&deps, experiments, folder.path())?,
            cairn_registry::mount(&deps, registry, folder.path())?,
            cairn_config::mount(&deps, sealer, Arc::clone(&known) as Arc<_>)?,
            cairn_ledger::mount(&deps, &loaded.get(), folder.path())?,
        ];
        Ok(Self { folder, deps, mounted, known, public })
    }

    /// Makes what a deployment begins with, unless it is there, and says so where people see it.
    ///
    /// Refuses to go on with authentication switched off where others could reach it.
    pub async fn begin(&self, loaded: &Loaded) -> anyhow::Result<FirstKey> {
        let config = loaded.get::<Config>();
        if loaded.get::<cairn_access::Config>().disabled {
            cairn_access::require_loopback(&[config.http(), config.grpc()])?;
            eprintln!("{}", cairn_access::BANNER);
        }
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
