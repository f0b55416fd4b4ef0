//! A suite that serves: the core behind its guard and gateway, on two ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use cairn_auth::FirstKey;
use cairn_contract::Contract;
use cairn_gateway::{Gateway, Origin};
use cairn_service::InProcess;
use cairn_service::config::Loaded;
use cairn_service::guard::{GuardLayer, Limits};
use cairn_service::health::{self, DiskCheck, Health, MemoryCheck, StorageCheck, ViewsCheck};
use cairn_service::shutdown::{self, Drain, Shutdown};
use cairn_service::telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::service::Routes;
use tracing::error;

use super::{Config, Core, Engines, pages};

/// A serving suite. Dropping it does not stop it; [`Running::stop`] does.
pub struct Running {
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// How the first administrator comes in. Holds a key only at the first start of all.
    pub first_key: FirstKey,
    core: Core,
    services: InProcess,
    health: Health,
    shutdown: Shutdown,
    doors: Vec<JoinHandle<()>>,
    stopping: shutdown::Config,
}

impl Running {
    /// Starts everything and returns once it serves and has seen all that is in the log.
    pub async fn start(
        loaded: &Loaded,
        engines: &Engines,
        metrics: &Metrics,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let config = loaded.get::<Config>();
        // Before anything else, so that a taken port costs nothing.
        let (http, grpc) = (listen(config.http()).await?, listen(config.grpc()).await?);
        let core = Core::open(loaded, engines, http.local_addr()?).await?;
        let first_key = core.begin(loaded).await?;

        let contract = Contract::embedded().map_err(|violations| anyhow!("{violations}"))?;
        let guard =
            GuardLayer::new(&core.deps, loaded.get::<Limits>()).map_err(|violations| anyhow!("{violations}"))?;
        let (health, health_routes) = watch(loaded, &core);
        let routes = core.mounted.iter().map(|role| role.routes.clone()).chain([health_routes]);
        let services = InProcess::new(guard, routes);
        let origin =
            Origin { url: core.public.url().to_owned(), cookie: core.public.cookie_name(cairn_auth::SESSION_COOKIE) };
        let gateway = Gateway::new(loaded.get(), contract, Arc::clone(&core.deps.access), services.clone(), origin)
            .map_err(|problems| anyhow!("the gateway cannot start: {}", problems.join("; ")))?;

        let gateway = pages::add(gateway, &health, metrics);

        let patience = Duration::from_millis(config.ready_timeout_ms);
        core.caught_up(Instant::now() + patience).await.with_context(|| {
            format!("a view did not catch up with the log within {} ms (server.ready_timeout_ms)", patience.as_millis())
        })?;
        let addresses = (http.local_addr()?, grpc.local_addr()?);
        health.round().await;
        let checking = tokio::spawn({
            let (health, token) = (health.clone(), shutdown.token());
            async move { health.run(token).await }
        });
        let tidying = tokio::spawn({
            let (metrics, token) = (metrics.clone(), shutdown.token());
            async move { metrics.keep_small(token).await }
        });
        let (edge, token) = (gateway.clone(), shutdown.token());
        let http = tokio::spawn(async move { edge.serve_http(http, token).await });
        let token = shutdown.token();
        let grpc = tokio::spawn(async move { gateway.serve_grpc(grpc, token).await });
        let stopping = loaded.get();
        Ok(Self {
            http: addresses.0,
            grpc: addresses.1,
            first_key,
            core,
            services,
            shutdown,
            doors: vec![http, grpc, checking, tidying],
            health,
            stopping,
        })
    }

    /// What the doors lead to.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Waits until somebody asks for the end; or fails, when a part ended that nobody asked to.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let (ended, at) = tokio::select! {
            () = self.shutdown.begun() => return Ok(()),
            (ended, at, _) = futures::future::select_all(&mut self.doors) => (ended, at),
        };
        drop(self.doors.swap_remove(at));
        match ended {
            // Its token was cancelled before ours was seen.
            Ok(()) if self.shutdown.token().is_cancelled() => Ok(()),
            Ok(()) => Err(anyhow!("a part of the suite ended by itself")),
            Err(fault) => Err(anyhow!("a part of the suite ended by itself: {fault}")),
        }
    }

    /// Stops accepting, finishes what was accepted, stops the views, and closes the store.
    pub async fn stop(self) {
        self.health.stop_serving().await;
        self.shutdown.begin();
        let (doors, views, services) = (self.doors, self.core.views(), self.services);
        let grace = Duration::from_millis(self.stopping.grace_ms);
        Drain::new(&self.stopping)
            .then("open requests", async move { drop(futures::future::join_all(doors).await) })
            .then("changes under way", async move {
                if let Err(fault) = services.drain().await {
                    error!(%fault, "what was counted of strangers could not be written");
                }
            })
            .then(
                "views",
                async move { drop(futures::future::join_all(views.iter().map(|view| view.stop(grace))).await) },
            )
            .run()
            .await;
    }
}

/// The checks of one process: its store, its disk, its memory and its views.
fn watch(loaded: &Loaded, core: &Core) -> (Health, Routes) {
    let config = loaded.get::<health::Config>();
    let (health, routes) = Health::new(&config);
    let folder = core.folder.path();
    health.register(StorageCheck::new(Arc::clone(&core.deps.store), folder));
    health.register(DiskCheck::new(folder, &config));
    health.register(MemoryCheck::new(&config));
    health.register(ViewsCheck::new(core.views(), &config));
    (health, routes)
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
