//! Settings that change while the suite runs: what the platform says of them, on top of what this process was started with.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_config::{Replica, Settings};
use cairn_gateway::Gateway;
use cairn_service::config::{Loaded, Registry};
use cairn_service::health::{DiskThresholds, Health, State};
use cairn_service::{health, telemetry};
use serde_json::Value;

use super::config::registry;

/// The settings of this program, on top of what it was started with.
pub struct Known {
    registry: Registry,
    loaded: Arc<Loaded>,
}

impl Known {
    pub fn new(loaded: Arc<Loaded>) -> Self {
        Self { registry: registry(), loaded }
    }

    /// What would be in force with these values on top; or what is wrong with them.
    fn with(&self, values: &BTreeMap<String, Value>) -> Result<Loaded, String> {
        let texts = values.iter().map(|(key, value)| Ok((key.clone(), text(key, value)?)));
        let texts = texts.collect::<Result<BTreeMap<_, _>, String>>()?;
        self.registry.reload(&self.loaded, &texts).map_err(|problems| problems.0.join("; "))
    }
}

/// A value as the command line would say it.
fn text(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(items) => {
            let items = items.iter().map(|item| text(key, item)).collect::<Result<Vec<_>, _>>()?;
            Ok(items.join(","))
        }
        Value::Null | Value::Object(_) => {
            Err(format!("{key} must be a text, a number, true or false, or a list of those"))
        }
    }
}

impl Settings for Known {
    fn keys(&self) -> Vec<String> {
        self.registry.reloadable().into_iter().map(|(key, _)| key).collect()
    }

    fn problem(&self, values: &BTreeMap<String, Value>) -> Option<String> {
        self.with(values).err()
    }
}

/// This process, where settings come to count.
pub struct Live {
    pub known: Arc<Known>,
    /// Where this process has one.
    pub gateway: Option<Gateway>,
    pub health: Health,
    pub disk: DiskThresholds,
}

#[async_trait]
impl Replica for Live {
    fn apply(&self, values: &BTreeMap<String, Value>) -> Result<(), String> {
        let loaded = self.known.with(values)?;
        telemetry::set_log_filter(&loaded.get::<telemetry::Config>().log_filter).map_err(|fault| fault.to_string())?;
        if let Some(gateway) = &self.gateway {
            gateway.reload(&loaded.get()).map_err(|problems| problems.join("; "))?;
        }
        self.disk.set(&loaded.get::<health::Config>());
        Ok(())
    }

    async fn complaint(&self) -> Option<String> {
        self.health.round().await;
        let report = self.health.report();
        let part = report.components.iter().find(|component| component.state == State::Unhealthy);
        match part {
            Some(part) => Some(format!("{}: {}", part.name, part.message)),
            None => (!report.is_ready).then(|| "it is not ready".to_owned()),
        }
    }
}
