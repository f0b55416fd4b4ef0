//! Where the roles are that run in other processes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use cairn_contract::Contract;
use cairn_service::config::Loaded;
use cairn_service::health::{HealthCheck, State};
use cairn_service::outgoing::{self, Balance, Passing};
use cairn_service::tls::Links;
use tokio_util::sync::CancellationToken;

use super::role::{Role, Roles};

cairn_service::settings! {
    /// Where the roles of other processes are, and where others find those of this one. Only `cairn serve` reads it:
    /// `cairn up` runs them all.
    pub struct Peers: "peers" {
        /// Address on which this process answers the calls of others. Port 0 takes a free one.
        listen: SocketAddr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 50_100);
        /// Lets `listen` be an address that others on the network reach without `links`: where something else encrypts and
        /// knows who calls, as a service mesh does.
        plain: bool = false;
        /// Processes that are auth, e.g. `http://10.0.0.7:50100`. Calls are balanced over several.
        auth: Vec<String> = vec![];
        /// Processes that are config.
        config: Vec<String> = vec![];
        /// Processes that are experiments.
        experiments: Vec<String> = vec![];
        /// Processes that are registry.
        registry: Vec<String> = vec![];
        /// Processes that are ledger.
        ledger: Vec<String> = vec![];
    }
}

impl Peers {
    fn addresses(&self, role: Role) -> &[String] {
        match role {
            Role::Auth => &self.auth,
            Role::Config => &self.config,
            Role::Experiments => &self.experiments,
            Role::Registry => &self.registry,
            Role::Ledger => &self.ledger,
            Role::Eventstore | Role::Gateway => &[],
        }
    }

    /// Refuses to answer calls from the network of whoever has a stolen token.
    pub fn require_links(&self, links: Option<&Links>) -> anyhow::Result<()> {
        if links.is_none() && !self.plain && !self.listen.ip().is_loopback() {
            bail!(
                "peers.listen is {}, which others on the network reach, and `links` has no certificates: set them, or \
                 peers.plain where something else encrypts and knows who calls",
                self.listen
            );
        }
        Ok(())
    }
}

/// The processes of one role that this one calls.
#[derive(Clone)]
pub struct Elsewhere {
    pub role: Role,
    pub balance: Balance,
    pub calls: Passing,
}

/// Those that a gateway with these roles needs besides.
pub fn elsewhere(
    loaded: &Loaded,
    roles: &Roles,
    contract: &'static Contract,
    links: Option<&Links>,
) -> anyhow::Result<Vec<Elsewhere>> {
    let (peers, config) = (loaded.get::<Peers>(), loaded.get::<outgoing::Config>());
    let found = roles.elsewhere().map(|role| {
        let addresses = peers.addresses(role);
        if addresses.is_empty() {
            bail!("peers.{role} is empty: say where {role} runs, or run it here (`cairn serve gateway {role}`)");
        }
        let balance = match links {
            Some(links) => Balance::linked(&config, addresses, links.to(role.name())),
            None => Balance::new(&config, addresses),
        };
        let balance = balance.with_context(|| format!("peers.{role} has an address that is none"))?;
        let calls = Passing::new(&config, role.name(), balance.clone(), contract);
        Ok(Elsewhere { role, balance, calls })
    });
    found.collect()
}

/// Asks them how they are, until `stop`, even if there are none.
pub async fn watch(elsewhere: Arc<[Elsewhere]>, stop: CancellationToken) {
    let watching = elsewhere.iter().map(|peers| peers.balance.watch_health(stop.clone()));
    futures::future::join_all(watching).await;
    stop.cancelled().await;
}

#[async_trait]
impl HealthCheck for Elsewhere {
    fn name(&self) -> &str {
        self.role.name()
    }

    async fn check(&self) -> (State, String) {
        match self.balance.count() {
            (_, 0) => (State::Unhealthy, "no process of it says that it is well".to_owned()),
            (all, well) if well < all => (State::Warning, format!("{well} of {all} processes of it are well")),
            _ => (State::Healthy, String::new()),
        }
    }

    /// The others stay usable when one of them is gone.
    fn gates_readiness(&self) -> bool {
        false
    }
}
