//! What the program itself can be told, and every section of every part together.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use cairn_service::config::{Loaded, Problems, Registry, Sources};

use super::peers::Peers;
use super::{ingest, points, read_models};

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
        /// The engine that keeps the event log: `sqlite`; `postgres`, for a log of many processes; or `jsonl`, a file of JSON
        /// Lines for small logs that people want to read. Empty: `postgres` if `events_postgres.url` names a database, else
        /// `sqlite`. What one has kept, another does not read.
        event_store: String = String::new(), env "EVENT_STORE";
        /// File with what every process of a deployment must have in common: the keys that sign principals and tokens, and the
        /// pepper of API keys. Absent: `keyring.json` in the data folder.
        keyring_file: Option<PathBuf> = None;
        /// Memory for folded states of recently used streams, in bytes.
        state_cache_bytes_max: u64 = 64 << 20;
        /// How long a process is looked after once it has taken over another setting of the platform, in milliseconds. One
        /// that is not well within that time takes the change back for all.
        settings_soak_ms: u64 = 15_000;
        /// How long views may take at the start to read what they have not seen, in milliseconds, before the suite gives
        /// up. It serves once they have.
        ready_timeout_ms: u64 = 600_000;
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
    Registry::new()
        .with::<Config>()
        .with::<ingest::Config>()
        .with::<cairn_eventstore_sqlite::Config>()
        .with::<cairn_eventstore_jsonl::Config>()
        .with::<cairn_eventstore_kurrentdb::Config>()
        .with::<cairn_eventstore_postgres::Config>()
        .with::<cairn_auth::Config>()
        .with::<cairn_auth::login::Config>()
        .with::<cairn_access::Config>()
        .with::<cairn_service::past::Config>()
        .with::<cairn_gateway::Config>()
        .with::<cairn_experiments::Config>()
        .with::<points::Config>()
        .with::<read_models::Config>()
        .with::<cairn_experiments::artifacts::Config>()
        .with::<cairn_experiments::logs::Config>()
        .with::<cairn_ledger::Config>()
        .with::<cairn_kurrent::Config>()
        .with::<cairn_registry::Config>()
        .with::<cairn_registry::functions::Config>()
        .with::<cairn_registry::hooks::Config>()
        .with::<cairn_seal::Config>()
        .with::<Peers>()
        .with::<cairn_service::Listening>()
        .with::<cairn_service::outgoing::Config>()
        .with::<cairn_service::tls::Config>()
        .with::<cairn_service::guard::Limits>()
        .with::<cairn_service::allowance::Config>()
        .with::<cairn_service::health::Config>()
        .with::<cairn_service::telemetry::Config>()
        .with::<cairn_service::shutdown::Config>()
}

/// What the command line says of settings.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// Settings file; otherwise `cairn.toml` here, if there is one.
    #[arg(long, global = true, env = "CAIRN_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<String>,

    /// Sets one key, stronger than file and environment: `--set gateway.caller_rate_max=500`. Any number of times.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

impl Flags {
    /// The same for another process.
    pub fn arguments(&self) -> Vec<OsString> {
        let config = self.config.iter().flat_map(|file| ["--config".into(), file.into()]);
        let set = self.set.iter().flat_map(|(key, value)| ["--set".into(), format!("{key}={value}").into()]);
        config.chain(set).collect()
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must be like section.key=value; `cairn config doc` lists all keys".to_owned()),
    }
}

/// Loads all sections: defaults, the file, the environment, the flags, and the data folder where a command has a flag of
/// its own for it.
pub fn load(flags: &Flags, data: Option<&PathBuf>) -> Result<Loaded, Problems> {
    // A variable that is set to nothing says nothing.
    let file = flags.config.as_deref().filter(|file| !file.is_empty());
    let mut sources = Sources::of_process(file.map(PathBuf::from));
    for (key, value) in &flags.set {
        sources = sources.with_flag("--set", key, value);
    }
    if let Some(data) = data {
        sources = sources.with_flag("--data", "server.data", data.display().to_string());
    }
    registry().load(&sources)
}

/// What is in force when nothing is said.
pub fn defaults() -> Result<Loaded, Problems> {
    registry().load(&Sources::new())
}

/// The reference of all settings, as `docs/config.md` holds it.
pub fn reference() -> String {
    format!("{}\n{}\n", REFERENCE_HEAD, registry().doc().trim_end())
}

const REFERENCE_HEAD: &str = "\
# Settings

Generated by `make docs` from the declarations; do not edit. Every key has a default that works on a laptop. A settings
file (`cairn.toml`, or `--config FILE`) overrides defaults, the environment overrides the file, and `--set section.key=value`
overrides both. Secrets stand in no file of settings and in no argument: name a file that holds one in `<key>_file`, or use
the environment. `cairn config explain` shows what is in force and where it comes from.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_settings_is_what_the_declarations_say() {
        let kept = include_str!("../../../../docs/config.md");
        assert!(kept == reference(), "docs/config.md is out of date: run `make docs`");
    }

    #[test]
    fn an_empty_environment_is_a_valid_configuration() {
        assert!(registry().load(&Sources::new()).is_ok());
    }

    #[test]
    fn a_flag_counts_more_than_the_environment_which_counts_more_than_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cairn.toml");
        std::fs::write(&file, "[server]\nhttp_port = 1\ngrpc_port = 2\ndata = 'file'\n").unwrap();
        let sources = Sources::new()
            .with_file(&file)
            .with_environment([("API_GRPC_PORT", "3"), ("CAIRN_DATA", "environment")])
            .with_flag("--data", "server.data", "flag");
        let loaded = registry().load(&sources).unwrap();
        let lines = ["server.host", "server.http_port", "server.grpc_port", "server.data"]
            .map(|key| registry().setting(&loaded, key).unwrap().line());
        assert_eq!(lines[0], "server.host = 127.0.0.1 (default)");
        assert_eq!(lines[1], format!("server.http_port = 1 ({})", file.display()));
        assert_eq!(lines[2], "server.grpc_port = 3 (environment variable API_GRPC_PORT)");
        assert_eq!(lines[3], "server.data = flag (flag --data)");
    }
}
