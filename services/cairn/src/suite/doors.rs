//! Where a process listens.

use std::net::SocketAddr;

use anyhow::Context;
use cairn_service::config::Loaded;
use cairn_service::tls::Links;
use tokio::net::TcpListener;

use super::peers::Peers;
use super::role::{Role, Roles};
use super::{Config, eventstore};

/// Its listeners, not yet served.
pub struct Doors {
    /// HTTP: everything for everybody outside, or what a process without a gateway tells of itself.
    pub http: TcpListener,
    /// gRPC for everybody outside.
    pub grpc: Option<TcpListener>,
    /// gRPC for other processes of the deployment.
    pub peers: Option<TcpListener>,
    /// The event store for programs.
    pub eventstore: Option<TcpListener>,
}

/// Where they are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub http: SocketAddr,
    pub grpc: Option<SocketAddr>,
    pub peers: Option<SocketAddr>,
    pub eventstore: Option<SocketAddr>,
}

impl Doors {
    /// Opens what these roles need, and refuses what others could come in by who must not.
    pub async fn open(loaded: &Loaded, roles: &Roles, links: Option<&Links>) -> anyhow::Result<Self> {
        let (config, peers) = (loaded.get::<Config>(), loaded.get::<Peers>());
        let has_gateway = roles.has(Role::Gateway);
        let eventstore = eventstore::address(loaded, roles);
        if loaded.get::<cairn_access::Config>().disabled {
            let grpc = has_gateway.then(|| config.grpc());
            let peers = roles.serve_others().then_some(peers.listen);
            let all: Vec<_> = [Some(config.http()), grpc, peers, eventstore].into_iter().flatten().collect();
            cairn_access::require_loopback(&all)?;
            eprintln!("{}", cairn_access::BANNER);
        }
        let peers = match roles.serve_others() {
            true => {
                peers.require_links(links)?;
                Some(listen(peers.listen).await?)
            }
            false => None,
        };
        let grpc = match has_gateway {
            true => Some(listen(config.grpc()).await?),
            false => None,
        };
        let eventstore = match eventstore {
            Some(address) => {
                eventstore::require_encryption(loaded, address)?;
                Some(listen(address).await?)
            }
            None => None,
        };
        Ok(Self { http: listen(config.http()).await?, grpc, peers, eventstore })
    }

    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        let of = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
        Ok(Addresses {
            http: self.http.local_addr()?,
            grpc: of(&self.grpc)?,
            peers: of(&self.peers)?,
            eventstore: of(&self.eventstore)?,
        })
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Where people and applications reach the gateway, which listens at `http`.
pub fn public_url(loaded: &Loaded, http: SocketAddr) -> String {
    let told = loaded.get::<cairn_auth::login::Config>().public_url;
    told.unwrap_or_else(|| format!("{}://{http}", loaded.get::<cairn_gateway::Config>().scheme()))
}
