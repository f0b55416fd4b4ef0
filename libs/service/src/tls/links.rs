use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_util::sync::CancellationToken;

use super::files::Files;
use super::identity::identities;
use super::reloading::Reloading;
use super::{Client, Problem, Server};

crate::settings! {
    /// How the processes of a deployment know each other on the network.
    pub struct Config: "links" checked by problems {
        /// This process's certificate chain, PEM, for both ends of connections. Without one they are plain.
        certificate_file: Option<PathBuf> = None;
        /// Its private key, PEM.
        key_file: Option<PathBuf> = None;
        /// The authorities that other processes' certificates come from, PEM.
        trusted_file: Option<PathBuf> = None;
        /// Who may be what: a role and an identity in a certificate, a URI or a DNS name, each as
        /// `registry spiffe://cairn/registry`. A role may have several.
        identities: Vec<String> = vec![];
        /// How often it is looked whether the files have changed, in milliseconds.
        reload_ms: u64 = 5_000;
        /// How long a handshake may take, in milliseconds.
        handshake_ms: u64 = 5_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    let files = [&config.certificate_file, &config.key_file, &config.trusted_file];
    let given = files.iter().filter(|file| file.is_some()).count();
    if given != 0 && given != files.len() {
        problems.push("certificate_file, key_file and trusted_file must be given together".to_owned());
    }
    if given == files.len() && config.identities.is_empty() {
        problems.push("identities must bind at least one role to an identity".to_owned());
    }
    if config.reload_ms == 0 || config.handshake_ms == 0 {
        problems.push("reload_ms and handshake_ms must be greater than 0".to_owned());
    }
    let unread = config.identities.iter().filter(|line| pair(line).is_none());
    problems.extend(unread.map(|line| format!("identities: {line:?} is not a role and an identity")));
    problems
}

fn pair(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(role), Some(identity), None) => Some((role, identity)),
        _ => None,
    }
}

/// The roles of the process at the other end of a connection, as an extension of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRoles(pub Arc<[String]>);

/// Connections between processes that both ends prove who they are on. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    inner: Arc<Inner>,
}

struct Inner {
    server: Arc<Reloading<Server>>,
    client: Arc<Reloading<Client>>,
    /// Of each identity: its roles.
    roles: BTreeMap<String, Vec<String>>,
    pause: Duration,
    handshake_max: Duration,
}

impl Links {
    /// With the configured certificates; none where connections are plain.
    pub fn open(config: &Config) -> Result<Option<Self>, Problem> {
        let files = (&config.certificate_file, &config.key_file, &config.trusted_file);
        let (Some(certificate), Some(key), Some(trusted)) = files else { return Ok(None) };
        let files = Files { certificate: certificate.clone(), key: key.clone(), trusted: Some(trusted.clone()) };
        let mut roles = BTreeMap::<String, Vec<String>>::new();
        for (role, identity) in config.identities.iter().filter_map(|line| pair(line)) {
            roles.entry(identity.to_owned()).or_default().push(role.to_owned());
        }
        let inner = Inner {
            server: Reloading::open(files.clone())?,
            client: Reloading::open(files)?,
            roles,
            pause: Duration::from_millis(config.reload_ms),
            handshake_max: Duration::from_millis(config.handshake_ms),
        };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// What tells of its health.
    pub fn certificate(&self) -> Arc<Reloading<Server>> {
        Arc::clone(&self.inner.server)
    }

    /// Takes new certificates as they come, until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        let Inner { server, client, pause, .. } = &*self.inner;
        tokio::join!(Arc::clone(server).watch(*pause, stop.clone()), Arc::clone(client).watch(*pause, stop));
    }

    /// Takes a connection of a process that is known here, and says in which roles.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<(server::TlsStream<TcpStream>, PeerRoles)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.inner.server.current().0));
        let stream = timeout(self.inner.handshake_max, acceptor.accept(stream)).await.map_err(io::Error::other)??;
        let roles = self.roles(stream.get_ref().1.peer_certificates().unwrap_or_default());
        if roles.is_empty() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the peer's certificate is bound to no role"));
        }
        Ok((stream, PeerRoles(roles.into())))
    }

    /// Connections to processes of one role.
    pub fn to(&self, role: &str) -> Link {
        Link { links: self.clone(), role: role.to_owned() }
    }

    fn roles(&self, chain: &[rustls::pki_types::CertificateDer<'_>]) -> Vec<String> {
        identities(chain).iter().filter_map(|identity| self.inner.roles.get(identity)).flatten().cloned().collect()
    }
}

/// How processes of one role are connected to.
#[derive(Clone)]
pub struct Link {
    links: Links,
    role: String,
}

impl Link {
    /// Connects, and makes sure that the role is at the other end.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<client::TlsStream<TcpStream>> {
        let Inner { client, handshake_max, .. } = &*self.links.inner;
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&client.current().0));
        let stream = timeout(*handshake_max, connector.connect(name, stream)).await.map_err(io::Error::other)??;
        let roles = self.links.roles(stream.get_ref().1.peer_certificates().unwrap_or_default());
        if !roles.contains(&self.role) {
            let problem = format!("the certificate of {host}:{port} is not bound to the role {}", self.role);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        Ok(stream)
    }
}
