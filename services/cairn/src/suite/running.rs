//! Roles that serve: the core behind its guard, and the gateway if this process is one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use cairn_auth::FirstKey;
use cairn_contract::Contract;
use cairn_gateway::{Gateway, Origin};
use cairn_service::allowance::Shared;
use cairn_service::config::Loaded;
use cairn_service::guard::{GuardLayer, Limits};
use cairn_service::health::{self, DiskCheck, DiskThresholds, Health, MemoryCheck, StorageCheck, ViewsCheck};
use cairn_service::shutdown::{self, Drain, Shutdown};
use cairn_service::telemetry::Metrics;
use cairn_service::tls::{CertificateCheck, Links};
use cairn_service::{InProcess, Listening};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::service::Routes;
use tracing::error;

use super::dispatch::Dispatch;
use super::doors::{Addresses, Doors, public_url};
use super::live::Live;
use super::peers::{self, Elsewhere};
use super::role::{Role, Roles};
use super::{Config, Core, Engines, eventstore, pages};

/// Roles that serve. Dropping them does not stop them; [`Running::stop`] does.
pub struct Running {
    /// `https`, or `http` where something in front encrypts.
    pub scheme: &'static str,
    /// Where it listens.
    pub addresses: Addresses,
    /// How the first administrator comes in. Holds a key only at the first start of all.
    pub first_key: FirstKey,
    core: Core,
    services: InProcess,
    eventstore: Option<cairn_kurrent::Door>,
    health: Health,
    shutdown: Shutdown,
    doors: Vec<JoinHandle<()>>,
    stopping: shutdown::Config,
}

/// Why some roles cannot run alone.
pub const NOT_SHARED: &str = "several processes need an event log that they share: set DATABASE_URL to the address of a PostgreSQL database, or KURRENTDB_URL";

impl Running {
    /// Starts the roles and returns once they serve and have seen all that is in the log.
    pub async fn start(
        loaded: &Loaded,
        engines: &Engines,
        roles: &Roles,
        metrics: &Metrics,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let config = loaded.get::<Config>();
        if !roles.is_all() && !Engines::is_shared(loaded)? {
            bail!("{NOT_SHARED}");
        }
        let links = if roles.is_all() { None } else { Links::open(&loaded.get())? };
        // Before anything else, so that a taken port costs nothing.
        let doors = Doors::open(loaded, roles, links.as_ref()).await?;
        let addresses = doors.addresses()?;
        let has_gateway = roles.has(Role::Gateway);
        let scheme = if has_gateway { loaded.get::<cairn_gateway::Config>().scheme() } else { "http" };
        let public_url = public_url(loaded, addresses.http);
        let is_asked = roles.serve_others();
        if !has_gateway && is_asked && loaded.get::<cairn_auth::login::Config>().public_url.is_none() {
            bail!("login.public_url must say where the gateway is reached: this process is none");
        }
        let core = Core::open(loaded, engines, roles, &public_url).await?;
        let first_key = match roles.has(Role::Auth) {
            true => core.begin(loaded).await?,
            false => FirstKey::NotNeeded,
        };

        let contract = Contract::embedded().map_err(|violations| anyhow!("{violations}"))?;
        let guard =
            GuardLayer::new(&core.deps, loaded.get::<Limits>()).map_err(|violations| anyhow!("{violations}"))?;
        let shared_limits = Shared::open(&loaded.get()).context("limits cannot be shared through this Redis")?;
        let (health, disk, health_routes) = watch(loaded, &core);
        let routes = core.mounted.iter().map(|role| role.routes.clone()).chain([health_routes]);
        if let Some(shared) = &shared_limits {
            guard.share_limits(shared.clone());
        }
        let services = InProcess::new(guard, routes);
        let mut tasks = vec![];
        let gateway = match has_gateway {
            true => {
                let elsewhere: Arc<[Elsewhere]> = peers::elsewhere(loaded, roles, contract, links.as_ref())?.into();
                elsewhere.iter().for_each(|role| health.register(role.clone()));
                let behind = Dispatch::new(contract, services.clone(), &elsewhere);
                let gateway = pages::add(gateway(loaded, contract, &core, behind)?, &health, metrics);
                if !elsewhere.is_empty() {
                    gateway.remember_changes();
                }
                tasks.push(tokio::spawn(peers::watch(elsewhere, shutdown.token())));
                if let Some(shared) = shared_limits {
                    gateway.share_limits(shared);
                }
                Some(gateway)
            }
            false => None,
        };

        let patience = Duration::from_millis(config.ready_timeout_ms);
        core.caught_up(Instant::now() + patience).await.with_context(|| {
            format!("a view did not catch up with the log within {} ms (server.ready_timeout_ms)", patience.as_millis())
        })?;
        if let Some(links) = &links {
            health.register(CertificateCheck::new(links.certificate()));
            let (links, token) = (links.clone(), shutdown.token());
            tasks.push(tokio::spawn(async move { links.watch(token).await }));
        }
        if let Some((gateway, certificate)) =
            gateway.as_ref().and_then(|edge| edge.certificate().map(|has| (edge, has)))
        {
            health.register(CertificateCheck::new(Arc::clone(&certificate)));
            tasks.push(tokio::spawn(certificate.watch(gateway.certificate_pause(), shutdown.token())));
        }
        let eventstore = match doors.eventstore {
            Some(listener) => {
                let door = eventstore::door(loaded, &core)?;
                let certificate = eventstore::certificate(loaded)?;
                if let Some(certificate) = &certificate {
                    if !has_gateway {
                        health.register(CertificateCheck::new(Arc::clone(certificate)));
                    }
                    let pause = Duration::from_millis(loaded.get::<cairn_gateway::Config>().tls_reload_ms);
                    tasks.push(tokio::spawn(Arc::clone(certificate).watch(pause, shutdown.token())));
                }
                let (open, listening, token) = (door.clone(), loaded.get::<Listening>(), shutdown.token());
                tasks.push(tokio::spawn(async move { open.serve(listener, &listening, certificate, token).await }));
                Some(door)
            }
            None => None,
        };
        health.round().await;
        tasks.push(tokio::spawn({
            let (health, token) = (health.clone(), shutdown.token());
            async move { health.run(token).await }
        }));
        let live = Live { known: Arc::clone(&core.known), gateway: gateway.clone(), health: health.clone(), disk };
        tasks.push(tokio::spawn({
            let (commands, token) = (core.deps.commands.clone(), shutdown.token());
            let soak = Duration::from_millis(config.settings_soak_ms);
            let name = format!("{}-{}", std::process::id(), addresses.http.port());
            let follow = cairn_config::follow(commands, name, soak, Arc::new(live));
            async move {
                token.run_until_cancelled(follow).await;
            }
        }));
        tasks.push(tokio::spawn({
            let (metrics, token) = (metrics.clone(), shutdown.token());
            async move { metrics.keep_small(token).await }
        }));
        if let Some(listener) = doors.peers {
            let (services, listening, token) = (services.clone(), loaded.get::<Listening>(), shutdown.token());
            tasks.push(tokio::spawn(async move { services.serve(listener, &listening, links, token).await }));
        }
        match gateway {
            Some(gateway) => {
                let (edge, token) = (gateway.clone(), shutdown.token());
                tasks.push(tokio::spawn(async move { edge.serve_http(doors.http, token).await }));
                if let Some(grpc) = doors.grpc {
                    let token = shutdown.token();
                    tasks.push(tokio::spawn(async move { gateway.serve_grpc(grpc, token).await }));
                }
            }
            None => {
                tasks.push(tokio::spawn(pages::serve(doors.http, pages::alone(&health, metrics), shutdown.token())))
            }
        }
        let stopping: shutdown::Config = loaded.get();
        shutdown.drain_for(&stopping);
        tokio::spawn({
            let (health, shutdown) = (health.clone(), shutdown.clone());
            async move {
                shutdown.asked().await;
                health.stop_serving().await;
            }
        });
        Ok(Self { scheme, addresses, first_key, core, services, eventstore, shutdown, doors: tasks, health, stopping })
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
        let (doors, views, services, eventstore) = (self.doors, self.core.views(), self.services, self.eventstore);
        let copies = self.core.copies.clone();
        let grace = Duration::from_millis(self.stopping.grace_ms);
        let ingest = self.core.ingest.clone();
        Drain::new(&self.stopping)
            .then("open requests", async move { drop(futures::future::join_all(doors).await) })
            .then("changes under way", async move {
                let drained = match eventstore {
                    Some(door) => door.drain().await.and(services.drain().await),
                    None => services.drain().await,
                };
                if let Err(fault) = drained {
                    error!(%fault, "what was counted of strangers could not be written");
                }
            })
            .then("queued batches", async move {
                if let Some(ingest) = ingest {
                    ingest.stop().await;
                }
            })
            .then("copies of views", async move {
                if let Some(copies) = copies {
                    copies.stop(grace).await;
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
fn watch(loaded: &Loaded, core: &Core) -> (Health, DiskThresholds, Routes) {
    let config = loaded.get::<health::Config>();
    let (health, routes) = Health::new(&config);
    let folder = core.folder.path();
    health.register(StorageCheck::new(Arc::clone(&core.deps.store), folder));
    let disk = DiskCheck::new(folder, &config);
    let thresholds = disk.thresholds();
    health.register(disk);
    health.register(MemoryCheck::new(&config));
    health.register(ViewsCheck::new(core.views(), &config));
    if let Some(points) = &core.points {
        health.register(points.clone());
    }
    if let Some(ingest) = &core.ingest {
        health.register(ingest.clone());
    }
    if let Some(copies) = &core.copies {
        health.register(copies.clone());
    }
    (health, thresholds, routes)
}

fn gateway(loaded: &Loaded, contract: &'static Contract, core: &Core, behind: Dispatch) -> anyhow::Result<Gateway> {
    let origin =
        Origin { url: core.public.url().to_owned(), cookie: core.public.cookie_name(cairn_auth::SESSION_COOKIE) };
    let gateway = Gateway::new(loaded.get(), contract, Arc::clone(&core.deps.access), behind, origin);
    gateway.map_err(|problems| anyhow!("the gateway cannot start: {}", problems.join("; ")))
}
