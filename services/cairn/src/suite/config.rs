//! What the program itself can be told, and every section of every part together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use cairn_service::config::{Loaded, Problems, Registry, Sources};

cairn_service::settings! {
    /// Where the suite listens and keeps its data.
    pub struct Config: "server" {
        /// Address to listen on. The default can be reached from this machine only; `0.0.0.0` opens it to the network.
        host: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), env "API_HOST";
        /// Port of the HTTP gateway: REST, MLflow, health and metrics. 0 takes a free one.
        http_port: u16 = 3001, env "API_HTTP_PORT";
        /// Port of the gRPC gateway. 0 takes a free one.
        grpc_port: u16 = 50051, env "API_GRPC_PORT";
        /// Folder of everything the suite keeps: the event log, read models, artifacts, keys. `--data` overrides it.
        data: PathBuf = PathBuf::from("data"), env "CAIRN_DATA";
        /// Memory for folded states of recently used streams, in bytes.
        state_cache_bytes_max: u64 = 64 << 20;
    }
}

impl Config {
    /// Where HTTP is served.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.http_port)
    }

    /// Where gRPC is served.
    pub fn grpc(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.grpc_port)
    }
}

/// Every section there is.
pub fn registry() -> Registry {
    Registry::new().with::<Config>().with::<cairn_service::guard::Limits>().with::<cairn_service::shutdown::Config>()
}

/// Loads all sections: defaults, the file (`cairn.toml` if there is one), the environment, and the data folder from the
/// command line.
pub fn load(file: Option<PathBuf>, data: Option<&Path>) -> Result<Loaded, Problems> {
    let mut sources = Sources::of_process(file);
    if let Some(data) = data {
        sources.environment.insert("CAIRN__SERVER__DATA".to_owned(), data.display().to_string());
    }
    registry().load(&sources)
}
