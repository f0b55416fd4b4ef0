use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use cairn::suite::{Core, Engines, Roles, config};
use cairn_contract::Contract;
use cairn_gateway::{Gateway, Origin};
use cairn_service::InProcess;
use cairn_service::config::Sources;
use cairn_service::guard::{GuardLayer, Limits, PRINCIPAL};
use http::{Request, Response};
use tonic::metadata::{Ascii, MetadataValue};

pub const KEY: &str = "bench-key-of-the-edge-0123456789";
const PATIENCE: Duration = Duration::from_secs(60);

/// A suite in this process, entered at every door.
pub struct Suite {
    pub core: Core,
    pub services: InProcess,
    pub gateway: Gateway,
}

impl Suite {
    pub async fn open(folder: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let own = [("CAIRN_DATA", folder.display().to_string()), ("CAIRN_API_KEY", KEY.to_owned())];
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let loaded = config::registry().load(&Sources::new().with_environment(own.into_iter().chain(settings)))?;
        let core = Core::open(&loaded, &Engines::default(), &Roles::all(), "http://127.0.0.1:3001").await?;
        core.begin(&loaded).await?;
        core.caught_up(tokio::time::Instant::now() + PATIENCE).await?;
        let guard = GuardLayer::new(&core.deps, loaded.get::<Limits>()).map_err(|faults| anyhow!("{faults}"))?;
        let services = InProcess::new(guard, core.mounted.iter().map(|role| role.routes.clone()));
        let contract = Contract::embedded().map_err(|faults| anyhow!("{faults}"))?;
        let gateway =
            Gateway::new(loaded.get(), contract, Arc::clone(&core.deps.access), services.clone(), Origin::default())
                .map_err(|problems| anyhow!("{problems:?}"))?;
        Ok(Self { core, services, gateway })
    }

    /// What services believe of the caller: signed as the gateway signs it.
    pub fn token(&self) -> anyhow::Result<MetadataValue<Ascii>> {
        let access = &self.core.deps.access;
        let principal = access.authenticate(KEY).map_err(|fault| anyhow!("{fault}"))?;
        Ok(access.sign(&principal).map_err(|fault| anyhow!("{fault}"))?.parse()?)
    }

    /// Calls over REST, without a socket.
    pub async fn rest(&self, verb: &str, path: &str, body: &'static str) -> anyhow::Result<Response<axum::body::Body>> {
        let request = Request::builder().method(verb).uri(path).header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json").body(axum::body::Body::from(body))?;
        Ok(self.gateway.answer(request).await)
    }

    pub async fn stop(&self) {
        for view in self.core.views() {
            view.stop(PATIENCE).await;
        }
    }
}

/// Metadata that names the principal.
pub fn signed<T>(message: T, token: &MetadataValue<Ascii>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert(PRINCIPAL, token.clone());
    request
}
