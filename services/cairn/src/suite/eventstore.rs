//! The event store for programs: where it listens, and who its callers are.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use cairn_contract::cairn::options::v1::Dialect;
use cairn_gateway::{Authenticator, Origin};
use cairn_kurrent::{Door, Identify};
use cairn_service::config::Loaded;
use cairn_service::tls::{Reloading, Server};

use super::Core;
use super::role::{Role, Roles};

/// Where a process with these roles is an event store. A whole suite is one if the settings say where.
pub fn address(loaded: &Loaded, roles: &Roles) -> Option<SocketAddr> {
    let config = loaded.get::<cairn_kurrent::Config>();
    match roles.has(Role::Eventstore) {
        true if roles.is_all() => config.listen,
        true => Some(config.address()),
        false => None,
    }
}

/// Refuses to take credentials from the network as everybody on it can read them.
pub fn require_encryption(loaded: &Loaded, address: SocketAddr) -> anyhow::Result<()> {
    let is_encrypted = loaded.get::<cairn_gateway::Config>().tls().is_some();
    if !is_encrypted && !loaded.get::<cairn_kurrent::Config>().plain && !address.ip().is_loopback() {
        bail!(
            "eventstore.listen is {address}, which others on the network reach, and there is no certificate: set \
             gateway.tls_certificate_file and gateway.tls_key_file, or eventstore.plain where something else encrypts"
        );
    }
    Ok(())
}

/// The door, whose callers are those of the gateway.
pub fn door(loaded: &Loaded, core: &Core) -> anyhow::Result<Door> {
    let authenticator = Authenticator::new(Arc::clone(&core.deps.access), Origin::default());
    let identify: Identify = Arc::new(move |headers| {
        let known = authenticator.identify(headers, Dialect::Grpc, false)?;
        Ok(known.map(|known| known.token))
    });
    Door::new(&core.deps, loaded.get(), loaded.get(), identify).map_err(|violations| anyhow!("{violations}"))
}

/// The certificate that it is encrypted with, if it is: the gateway's.
pub fn certificate(loaded: &Loaded) -> anyhow::Result<Option<Arc<Reloading<Server>>>> {
    let files = loaded.get::<cairn_gateway::Config>().tls();
    Ok(files.map(Reloading::open).transpose()?)
}
