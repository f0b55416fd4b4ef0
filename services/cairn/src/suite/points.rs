//! Where the points of metrics are kept, by what settings say.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use cairn_points::Engine;
use cairn_points_clickhouse::{Address, ClickHousePoints, Place, Shards};
use cairn_points_postgres::PostgresPoints;
use cairn_service::config::Secret;

cairn_service::settings! {
    /// Where the points of metrics are kept.
    pub struct Config: "metrics" checked by problems {
        /// The store: `sqlite:`, among the read models; `postgres://user:password@host/database`, with the options that
        /// `events_postgres.url` has; or `clickhouse://user:password@host:8123/database?secure=true`, with several hosts
        /// separated by commas that share the points among them. A secret, because a password may be in it. Empty:
        /// ClickHouse if `clickhouse_host` names one, else `sqlite:`. docs/metric-stores.md has the rest.
        url: Secret = Secret::default();
        /// Host of a ClickHouse, instead of a URL.
        clickhouse_host: Option<String> = None, env "CLICKHOUSE_HOST";
        /// The port on which it speaks HTTP.
        clickhouse_port: u16 = 8123, env "CLICKHOUSE_PORT";
        /// Whom to log in as.
        clickhouse_user: String = "default".to_owned(), env "CLICKHOUSE_USER";
        /// Password of that user.
        clickhouse_password: Secret = Secret::default(), env "CLICKHOUSE_PASSWORD";
        /// The database there; it is made if it is not there.
        clickhouse_database: String = "cairn".to_owned();
        /// What several ClickHouses call themselves together in their own configuration (`remote_servers`). With it, each has a
        /// table `metrics_everywhere` over all points.
        clickhouse_cluster: Option<String> = None;
        /// The schema in PostgreSQL that the tables are in; it is made if it is not there.
        schema: String = "cairn_metrics".to_owned();
        /// Connections to PostgreSQL for reading that stay open. Beside them, a process has one for writing.
        connections_max: usize = 10;
        /// How many more there may be at the same time.
        overflow_max: usize = 20;
        /// How long a read waits for one of them, in milliseconds, before it fails with `POOL_EXHAUSTED`.
        acquire_timeout_ms: u64 = 5_000;
        /// How long the store may take to answer, in milliseconds.
        timeout_ms: u64 = 5_000;
    }
}

/// What the settings come to.
enum Chosen {
    Embedded,
    Postgres(cairn_points_postgres::Config),
    ClickHouse(Vec<Address>),
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    problems.extend(config.opened().err());
    for (name, value) in [
        ("connections_max", config.connections_max as u64),
        ("acquire_timeout_ms", config.acquire_timeout_ms),
        ("timeout_ms", config.timeout_ms),
    ] {
        if value == 0 {
            problems.push(format!("{name} must be at least 1"));
        }
    }
    let is_name = |text: &str| {
        text.len() <= 40
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if let Some(cluster) = config.clickhouse_cluster.as_ref().filter(|cluster| !is_name(cluster)) {
        problems
            .push(format!("clickhouse_cluster {cluster:?} must be made of small letters, digits and _, 40 at most"));
    }
    if !is_name(&config.schema) {
        problems.push(format!(
            "schema {:?} must begin with a small letter and go on with small letters, digits or _, 40 at most",
            config.schema
        ));
    }
    problems
}

impl Config {
    fn chosen(&self) -> Result<Chosen, String> {
        let url = self.url.expose();
        match (url, &self.clickhouse_host) {
            ("", None) if !self.clickhouse_password.expose().is_empty() => {
                Err("clickhouse_password (CLICKHOUSE_PASSWORD) is of no use without clickhouse_host (CLICKHOUSE_HOST)"
                    .to_owned())
            }
            ("", None) => Ok(Chosen::Embedded),
            ("", Some(host)) => {
                let address = Address {
                    host: host.clone(),
                    port: self.clickhouse_port,
                    is_secure: false,
                    user: self.clickhouse_user.clone(),
                    password: self.clickhouse_password.expose().to_owned(),
                    database: self.clickhouse_database.clone(),
                };
                address.check().map_err(|problem| format!("clickhouse_host {host:?}: it {problem}"))?;
                Ok(Chosen::ClickHouse(vec![address]))
            }
            // Whoever names a host relies on it.
            (_, Some(_)) => {
                Err("url and clickhouse_host (CLICKHOUSE_HOST) both name a store: unset one of them".to_owned())
            }
            ("sqlite:" | "sqlite", None) => Ok(Chosen::Embedded),
            (url, None) if url.starts_with("clickhouse:") => {
                Ok(Chosen::ClickHouse(Address::parse_all(url).map_err(|problem| format!("url {problem}"))?))
            }
            (url, None) if url.starts_with("postgres:") || url.starts_with("postgresql:") => {
                Ok(Chosen::Postgres(cairn_points_postgres::Config {
                    url: url.to_owned(),
                    schema: self.schema.clone(),
                    connections: self.connections_max,
                    overflow: self.overflow_max,
                    acquire: Duration::from_millis(self.acquire_timeout_ms),
                    patience: self.patience(),
                }))
            }
            // Without what it is: a password may be in it.
            (_, None) => Err("url must begin with sqlite:, postgres:// or clickhouse://".to_owned()),
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    fn opened(&self) -> Result<Option<Arc<dyn Engine>>, String> {
        let wrong = |problem: String| format!("url {problem}");
        Ok(match self.chosen()? {
            Chosen::Embedded => None,
            Chosen::Postgres(config) => Some(Arc::new(PostgresPoints::new(&config).map_err(wrong)?)),
            Chosen::ClickHouse(addresses) => {
                let of = addresses.len();
                let place = |number| Place { number, of, cluster: self.clickhouse_cluster.clone() };
                let shard = |(number, address)| ClickHousePoints::at(address, place(number), self.patience());
                let mut shards =
                    addresses.into_iter().enumerate().map(shard).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
                match shards.pop() {
                    Some(only) if of == 1 => Some(Arc::new(only)),
                    last => {
                        shards.extend(last);
                        Some(Arc::new(Shards::new(shards)))
                    }
                }
            }
        })
    }

    /// The engine that settings name, which need not answer yet; none if points are kept among the read models.
    pub fn open(&self) -> anyhow::Result<Option<Arc<dyn Engine>>> {
        self.opened().map_err(|problem| anyhow!("metrics.{problem}"))
    }
}

#[cfg(test)]
mod tests {
    use cairn_service::config::{Registry, Sources};

    use super::*;

    fn loaded(environment: &[(&str, &str)]) -> Result<Config, String> {
        let registry = Registry::new().with::<Config>();
        let sources = Sources::new().with_environment(environment.iter().copied());
        registry.load(&sources).map(|loaded| loaded.get()).map_err(|problems| problems.to_string())
    }

    fn place(environment: &[(&str, &str)]) -> Option<String> {
        loaded(environment).unwrap().open().unwrap().map(|engine| engine.place())
    }

    #[test]
    fn the_short_names_of_clickhouse_lead_to_one_s1_61() {
        let named = [
            ("CLICKHOUSE_HOST", "metrics.example"),
            ("CLICKHOUSE_PORT", "18123"),
            ("CLICKHOUSE_USER", "ada"),
            ("CLICKHOUSE_PASSWORD", "hunter2"),
        ];
        assert_eq!(place(&named).as_deref(), Some("ClickHouse at ada@metrics.example:18123/cairn"));
        assert_eq!(place(&named[..1]).as_deref(), Some("ClickHouse at default@metrics.example:8123/cairn"));
        assert!(loaded(&named[3..]).unwrap_err().contains("CLICKHOUSE_HOST"));
    }

    #[test]
    fn a_url_names_the_engine() {
        let place = |url| place(&[("CAIRN__METRICS__URL", url)]);
        assert_eq!(place("sqlite:"), None);
        let found = place("clickhouse://ada:hunter2@one:9999/points");
        assert_eq!(found.as_deref(), Some("ClickHouse at ada@one:9999/points"));
        let found = place("clickhouse://ada:hunter2@one,two:9999/points");
        assert_eq!(found.as_deref(), Some("ClickHouse at ada@one:8123/points, ClickHouse at ada@two:9999/points"));
        let found = place("postgres://ada:hunter2@one/points?sslmode=disable");
        assert_eq!(found.as_deref(), Some("PostgreSQL at ada@one:5432/points"));
    }

    #[test]
    fn what_names_no_store_is_refused_without_its_password() {
        for url in
            ["mysql://ada:hunter2@one/points", "clickhouse://ada:hunter2@", "postgres://ada:hunter2@one/x?y=hunter2"]
        {
            let problem = loaded(&[("CAIRN__METRICS__URL", url)]).unwrap_err();
            assert!(problem.contains("metrics.url") && !problem.contains("hunter2"), "{problem}");
        }
        let both = [("CAIRN__METRICS__URL", "sqlite:"), ("CLICKHOUSE_HOST", "one")];
        assert!(loaded(&both).unwrap_err().contains("unset one of them"));
        assert!(loaded(&[("CAIRN__METRICS__SCHEMA", "a; DROP")]).unwrap_err().contains("schema"));
    }
}
