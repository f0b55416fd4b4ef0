//! What each process is told, so that all of them make one suite on this machine.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Context;
use cairn_service::config::Loaded;

use crate::suite::{Config, Folder, Role, public_url};

/// The processes of one suite.
pub struct Plan {
    folder: Folder,
    /// What was said on the command line, which goes to each of them.
    flags: Vec<OsString>,
    /// Ports of services, in the order of [`Plan::services`]: the same after a restart.
    ports: Vec<u16>,
    /// Where the gateway listens.
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    settings: Vec<(&'static str, String)>,
}

impl Plan {
    /// Finds ports that are free now.
    pub fn new(loaded: &Loaded, folder: Folder, flags: Vec<OsString>) -> anyhow::Result<Self> {
        let config = loaded.get::<Config>();
        let (http, grpc) = (free(config.http())?, free(config.grpc())?);
        let ports = Self::services().map(|_| free((Ipv4Addr::LOCALHOST, 0).into()).map(|address| address.port()));
        let ports = ports.collect::<anyhow::Result<Vec<_>>>()?;
        let mut settings = vec![];
        if config.keyring_file.is_none() {
            settings.push(("server.keyring_file", folder.keyring().display().to_string()));
        }
        if loaded.get::<cairn_experiments::artifacts::Config>().url.is_empty() {
            settings.push(("objects.url", format!("file://{}", folder.path().join("objects").display())));
        }
        if loaded.get::<cairn_auth::login::Config>().public_url.is_none() {
            settings.push(("login.public_url", public_url(loaded, http)));
        }
        Ok(Self { folder, flags, ports, http, grpc, settings })
    }

    /// Everything behind the gateway.
    pub fn services() -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| !role.is_door())
    }

    /// The data folder of one process.
    pub fn folder(&self, role: Role) -> PathBuf {
        self.folder.path().join(role.name())
    }

    /// The command line of one process.
    pub fn arguments(&self, role: Role) -> Vec<OsString> {
        let mut settings = self.settings.clone();
        match role {
            Role::Gateway => {
                settings.push(("server.host", self.http.ip().to_string()));
                settings.push(("server.http_port", self.http.port().to_string()));
                settings.push(("server.grpc_port", self.grpc.port().to_string()));
                settings.extend(Self::services().zip(&self.ports).map(|(role, port)| (peers(role), at(*port))));
            }
            _ => {
                settings.push(("server.host", IpAddr::from(Ipv4Addr::LOCALHOST).to_string()));
                settings.push(("server.http_port", "0".to_owned()));
                let port = Self::services().zip(&self.ports).find(|(service, _)| *service == role);
                settings.extend(port.map(|(_, port)| ("peers.listen", format!("{}:{port}", Ipv4Addr::LOCALHOST))));
            }
        }
        let mut arguments: Vec<OsString> = ["--json", "serve", role.name(), "--until-input-ends", "--data"]
            .map(OsString::from)
            .into_iter()
            .chain([self.folder(role).into()])
            .collect();
        arguments.extend(self.flags.iter().cloned());
        let settings = settings.into_iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]);
        arguments.extend(settings.map(OsString::from));
        arguments
    }
}

fn peers(role: Role) -> &'static str {
    match role {
        Role::Auth => "peers.auth",
        Role::Config => "peers.config",
        Role::Experiments => "peers.experiments",
        Role::Registry => "peers.registry",
        Role::Ledger => "peers.ledger",
        Role::Eventstore => "peers.eventstore",
        Role::Gateway => "peers.gateway",
    }
}

fn at(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// An address with a port that nobody listens on.
fn free(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(listener.local_addr()?)
}
