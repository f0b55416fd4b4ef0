use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_access::{Access, Config, Keyring};
use cairn_auth::{Bootstrap, bootstrap};
use cairn_contract::cairn::auth::v1::access_service_client::AccessServiceClient;
use cairn_contract::cairn::auth::v1::user_service_client::UserServiceClient;
use cairn_contract::cairn::auth::v1::{Binding, CreateBindingRequest, CreateUserRequest, User};
use cairn_contract::cairn::config::v1::config_service_client::ConfigServiceClient;
use cairn_contract::cairn::config::v1::keeper_service_client::KeeperServiceClient;
use cairn_contract::cairn::config::v1::secret_service_client::SecretServiceClient;
use cairn_eventstore::{Commands, Direction, EventStore, Filter, Memory, Recorded};
use cairn_kernel::{Clock, Position, Principal, PrincipalKind, SystemClock};
use cairn_service::guard::{GuardLayer, Limits, PRINCIPAL};
use cairn_service::{Deps, InProcess};
use tempfile::TempDir;
use tonic::{Request, Status};
use tonic_types::StatusExt;

pub const PROJECT: &str = "projects/default";

/// What outlives a process: the log and the data folder.
#[derive(Clone)]
pub struct Ground {
    pub store: Memory,
    pub folder: Arc<TempDir>,
}

/// Auth and configuration behind their guard.
pub struct Suite {
    pub ground: Ground,
    pub deps: Deps,
    pub process: InProcess,
}

impl Ground {
    pub fn new() -> Self {
        Self { store: Memory::new(), folder: Arc::new(tempfile::tempdir().unwrap()) }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a process on this ground.
    pub async fn start(&self) -> Suite {
        let store: Arc<dyn EventStore> = Arc::new(self.store.clone());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keyring = Arc::new(Keyring::open(&self.folder().join("keyring.json")).unwrap());
        let sealer = cairn_seal::Config::default().start(self.folder(), keyring.deployment()).await.unwrap();
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), 1 << 20),
            access: Access::start(Arc::clone(&store), Arc::clone(&clock), keyring, &Config::default()),
            views_folder: self.folder().join("views"),
            keeps_past: true,
            store,
            clock,
        };
        let public = cairn_auth::Public::at("http://127.0.0.1:3001");
        let (auth, login) = (cairn_auth::Config::default(), cairn_auth::login::Config::default());
        let auth = cairn_auth::mount(&deps, self.folder(), &auth, login, public, sealer.clone()).unwrap();
        let config = cairn_config::mount(&deps, sealer, Arc::new(Known)).unwrap();
        let guard = GuardLayer::new(&deps, Limits::default()).unwrap();
        let process = InProcess::new(guard, [auth.routes, config.routes]);
        let suite = Suite { ground: self.clone(), deps, process };
        let how = Bootstrap {
            chosen_key: Some("an-operator's-own-key".to_owned()),
            is_always_allowed: false,
            key_file: self.folder().join("boot.key"),
            patience: Duration::from_secs(60),
        };
        bootstrap(&suite.deps, &how).await.unwrap();
        suite
    }
}

impl Suite {
    pub async fn begun() -> Self {
        Ground::new().start().await
    }

    pub fn by<T>(&self, name: &str, message: T) -> Request<T> {
        let principal = Principal { name: name.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] };
        let mut request = Request::new(message);
        let token = self.deps.access.sign(&principal).unwrap();
        request.metadata_mut().insert(PRINCIPAL, token.parse().unwrap());
        request
    }

    pub fn admin<T>(&self, message: T) -> Request<T> {
        self.by("users/admin", message)
    }

    /// Adds a user with a role.
    pub async fn user(&self, role: &str, resource: &str) -> String {
        let created = self.admin(CreateUserRequest { user: Some(User::default()), request_id: String::new() });
        let name = UserServiceClient::new(self.process.clone()).create_user(created).await.unwrap().into_inner().name;
        let binding =
            Binding { principal: name.clone(), role: role.into(), resource: resource.into(), ..Default::default() };
        let request = self.admin(CreateBindingRequest { binding: Some(binding), request_id: String::new() });
        AccessServiceClient::new(self.process.clone()).create_binding(request).await.unwrap();
        name
    }

    pub fn secrets(&self) -> SecretServiceClient<InProcess> {
        SecretServiceClient::new(self.process.clone())
    }

    pub fn keepers(&self) -> KeeperServiceClient<InProcess> {
        KeeperServiceClient::new(self.process.clone())
    }

    pub fn config(&self) -> ConfigServiceClient<InProcess> {
        ConfigServiceClient::new(self.process.clone())
    }

    /// Every event in the log.
    pub async fn log(&self) -> Vec<Arc<Recorded>> {
        self.deps.store.read_all(Position::START, Direction::Forwards, &Filter::all(), 10_000).await.unwrap().events
    }

    /// How often something of one type is in the log.
    pub async fn count(&self, kind: &str) -> usize {
        self.log().await.iter().filter(|event| event.kind.ends_with(&format!(".{kind}"))).count()
    }
}

/// Why a call was refused.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Two settings of a suite that there is none of.
pub struct Known;

impl cairn_config::Settings for Known {
    fn keys(&self) -> Vec<String> {
        vec!["test.level".to_owned(), "test.rate".to_owned()]
    }

    fn problem(&self, values: &std::collections::BTreeMap<String, serde_json::Value>) -> Option<String> {
        let rate = values.get("test.rate")?;
        (!rate.is_u64()).then(|| "test.rate must be a whole number".to_owned())
    }
}
