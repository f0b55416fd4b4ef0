//! Copies of read models in PostgreSQL, by what settings say.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use cairn_mirror::{Limits, Mirror, MirrorState};
use cairn_service::Mounted;
use cairn_service::config::{Loaded, Secret};
use cairn_service::health::{HealthCheck, State};

use super::Engines;

cairn_service::settings! {
    /// Read models in PostgreSQL: copies of what services answer from, for people and their tools.
    pub struct Config: "read_models" checked by problems {
        /// Whether copies are kept, where there is a database for them.
        copy: bool = true;
        /// The database: `postgres://user:password@host:5432/name`, with the options that `events_postgres.url` has. A secret,
        /// because the password is in it. Empty: the database of the event log, if that is one of PostgreSQL; else no copies
        /// are kept. docs/read-models.md has the rest.
        url: Secret = Secret::default();
        /// The beginning of the names of schemas: each service has one, `cairn_auth` and so on. They are made if they are not there.
        schema_prefix: String = "cairn_".to_owned();
        /// How long after the process that copies has gone another one takes over, in milliseconds.
        lease_ms: u64 = 3_000;
        /// Changes are written together that come within so many milliseconds.
        interval_ms: u64 = 100;
        /// How long connecting or a statement may take, in milliseconds. Each service has one connection.
        timeout_ms: u64 = 10_000;
        /// How long an index may take, in milliseconds, when a copy is made anew, and how long it waits for whoever reads the
        /// old one.
        build_timeout_ms: u64 = 600_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if !config.url.expose().is_empty() {
        problems.extend(cairn_mirror::check_url(config.url.expose()).err().map(|problem| format!("url {problem}")));
    }
    let at_least_one = [
        ("lease_ms", config.lease_ms),
        ("timeout_ms", config.timeout_ms),
        ("build_timeout_ms", config.build_timeout_ms),
    ];
    let zeros = at_least_one.into_iter().filter(|(_, value)| *value == 0);
    problems.extend(zeros.map(|(field, _)| format!("{field} must be at least 1")));
    let prefix = &config.schema_prefix;
    let is_plain = prefix.len() <= 40
        && prefix.starts_with(|first: char| first.is_ascii_lowercase())
        && prefix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_plain {
        problems.push(format!(
            "schema_prefix {prefix:?} must begin with a small letter and go on with small letters, digits or _, 40 at most"
        ));
    }
    problems
}

impl Config {
    /// Where copies are kept, if they are.
    fn url(&self, loaded: &Loaded) -> anyhow::Result<Option<String>> {
        if !self.copy {
            return Ok(None);
        }
        if !self.url.expose().is_empty() {
            return Ok(Some(self.url.expose().to_owned()));
        }
        let log = loaded.get::<cairn_eventstore_postgres::Config>().url;
        Ok((Engines::chosen(loaded)? == "postgres").then(|| log.expose().to_owned()).filter(|url| !url.is_empty()))
    }
}

/// The copies of every service of this process. Cheap to clone.
#[derive(Clone)]
pub struct Copies(Arc<Vec<Mirror>>);

impl Copies {
    /// Begins to copy the views of services, or has nothing noted down for it any more. `None`: no copies are kept.
    pub fn start(loaded: &Loaded, deployment: &str, mounted: &[Mounted]) -> anyhow::Result<Option<Self>> {
        let config = loaded.get::<Config>();
        let Some(url) = config.url(loaded)? else {
            for view in mounted.iter().flat_map(|service| &service.views) {
                view.forget_changes()?;
            }
            return Ok(None);
        };
        let limits = Limits {
            lease: Duration::from_millis(config.lease_ms),
            interval: Duration::from_millis(config.interval_ms),
            patience: Duration::from_millis(config.timeout_ms),
            building_patience: Duration::from_millis(config.build_timeout_ms),
        };
        let mut mirrors = vec![];
        for service in mounted {
            let mut changes = vec![];
            for view in &service.views {
                changes.extend(view.record_changes()?);
            }
            if !changes.is_empty() {
                let (url, schema) = (url.clone(), format!("{}{}", config.schema_prefix, service.role));
                let place = cairn_mirror::Config { url, schema, deployment: deployment.to_owned(), limits };
                let mirror = Mirror::start(&place, changes);
                mirrors.push(mirror.map_err(|problem| anyhow!("read_models.url {problem}"))?);
            }
        }
        Ok(Some(Self(Arc::new(mirrors))))
    }

    /// Copies what there is, and lets other processes go on at once.
    pub async fn stop(&self, grace: Duration) {
        futures::future::join_all(self.0.iter().map(|mirror| mirror.stop(grace))).await;
    }
}

/// What everybody may know of copies: the first trouble, or how far the last of them is behind.
fn told(states: &[MirrorState]) -> (State, String) {
    let lag = states.iter().map(|state| state.lag).max().unwrap_or_default();
    match states.iter().find_map(|state| state.openly) {
        Some(openly) => (State::Warning, format!("PostgreSQL: {openly}; {lag} events are still to be copied there")),
        None if lag == 0 => (State::Healthy, String::new()),
        None => (State::Healthy, format!("{lag} events behind")),
    }
}

#[async_trait]
impl HealthCheck for Copies {
    fn name(&self) -> &str {
        "read-model-copy"
    }

    async fn check(&self) -> (State, String) {
        told(&self.0.iter().map(Mirror::state).collect::<Vec<_>>())
    }

    /// Nothing is answered from them.
    fn gates_readiness(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use cairn_service::config::Sources;

    use super::super::config::registry;
    use super::*;

    fn place(environment: &[(&str, &str)]) -> Option<String> {
        let loaded = registry().load(&Sources::new().with_environment(environment.iter().copied())).unwrap();
        loaded.get::<Config>().url(&loaded).unwrap()
    }

    #[test]
    fn copies_are_kept_beside_the_log_unless_settings_say_otherwise() {
        let log = ("DATABASE_URL", "postgres://ada:hunter2@one/cairn");
        let own = ("CAIRN__READ_MODELS__URL", "postgres://ada:hunter2@two/cairn");
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[log]).as_deref(), Some(log.1));
        assert_eq!(place(&[own]).as_deref(), Some(own.1));
        assert_eq!(place(&[log, own]).as_deref(), Some(own.1));
        assert_eq!(place(&[log, own, ("CAIRN__READ_MODELS__COPY", "false")]), None);
    }

    #[test]
    fn what_names_no_database_is_refused_without_its_password() {
        for (key, value) in [
            ("CAIRN__READ_MODELS__URL", "mysql://ada:hunter2@one/cairn"),
            ("CAIRN__READ_MODELS__SCHEMA_PREFIX", "a; DROP"),
            ("CAIRN__READ_MODELS__LEASE_MS", "0"),
        ] {
            let refused = registry().load(&Sources::new().with_environment([(key, value)])).err().unwrap().to_string();
            assert!(refused.contains("read_models.") && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn health_tells_of_trouble_without_who_and_where() {
        let well = MirrorState { writes: true, ..MirrorState::default() };
        let behind = MirrorState {
            trouble: Some("DB_AUTH_FAILED: ada@one was refused".to_owned()),
            openly: Some("DB_AUTH_FAILED"),
            lag: 7,
            ..MirrorState::default()
        };
        assert_eq!(told(std::slice::from_ref(&well)), (State::Healthy, String::new()));
        let (state, said) = told(&[well, behind]);
        assert_eq!(state, State::Warning);
        assert_eq!(said, "PostgreSQL: DB_AUTH_FAILED; 7 events are still to be copied there");
    }
}
