use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_access::{Access, Config, Keyring};
use cairn_auth::{Bootstrap, BootstrapFault, FirstKey, bootstrap, mount};
use cairn_contract::cairn::auth::v1::access_service_client::AccessServiceClient;
use cairn_contract::cairn::auth::v1::api_key_service_client::ApiKeyServiceClient;
use cairn_contract::cairn::auth::v1::break_glass_service_client::BreakGlassServiceClient;
use cairn_contract::cairn::auth::v1::group_service_client::GroupServiceClient;
use cairn_contract::cairn::auth::v1::guardrail_service_client::GuardrailServiceClient;
use cairn_contract::cairn::auth::v1::organization_service_client::OrganizationServiceClient;
use cairn_contract::cairn::auth::v1::project_service_client::ProjectServiceClient;
use cairn_contract::cairn::auth::v1::role_service_client::RoleServiceClient;
use cairn_contract::cairn::auth::v1::service_account_service_client::ServiceAccountServiceClient;
use cairn_contract::cairn::auth::v1::source_address_service_client::SourceAddressServiceClient;
use cairn_contract::cairn::auth::v1::token_service_client::TokenServiceClient;
use cairn_contract::cairn::auth::v1::user_service_client::UserServiceClient;
use cairn_contract::cairn::auth::v1::{Binding, CreateBindingRequest, CreateProjectRequest, CreateUserRequest, User};
use cairn_eventstore::{Commands, Direction, EventStore, Filter, Memory, Recorded};
use cairn_kernel::{Clock, Position, Principal, PrincipalKind, SimClock};
use cairn_service::guard::{GuardLayer, Limits, PRINCIPAL};
use cairn_service::{Deps, InProcess};
use tempfile::TempDir;
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// The operator's key in these tests.
pub const CHOSEN: &str = "an-operator's-own-key";

/// What outlives a process: the log and the data folder.
#[derive(Clone)]
pub struct Ground {
    pub store: Memory,
    pub folder: Arc<TempDir>,
    pub clock: SimClock,
}

/// Auth behind its guard, over a log in memory.
pub struct Suite {
    pub ground: Ground,
    pub deps: Deps,
    pub process: InProcess,
}

impl Ground {
    pub fn new() -> Self {
        let clock = SimClock::default();
        let store = Memory::with_clock(Arc::new(clock.clone()));
        Self { store, folder: Arc::new(tempfile::tempdir().unwrap()), clock }
    }

    /// Starts a process on this ground.
    pub async fn start(&self) -> Suite {
        let store: Arc<dyn EventStore> = Arc::new(self.store.clone());
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let keyring = Arc::new(Keyring::open(&self.folder.path().join("keyring.json")).unwrap());
        let sealer = cairn_seal::Config::default().start(self.folder.path(), keyring.deployment()).await.unwrap();
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), 1 << 20),
            access: Access::start(Arc::clone(&store), Arc::clone(&clock), keyring, &Config::default()),
            views_folder: self.folder.path().join("views"),
            keeps_past: true,
            store,
            clock,
        };
        let (config, login) = (cairn_auth::Config::default(), cairn_auth::login::Config::default());
        let public = cairn_auth::Public::at("http://127.0.0.1:3001");
        let mounted = mount(&deps, self.folder.path(), &config, login, public, sealer).unwrap();
        let guard = GuardLayer::new(&deps, Limits::default()).unwrap();
        let process = InProcess::new(guard, [mounted.routes]);
        Suite { ground: self.clone(), deps, process }
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("boot.key")
    }
}

impl Suite {
    /// A deployment that an operator began with a key of their own.
    pub async fn begun() -> Self {
        let suite = Ground::new().start().await;
        suite.bootstrap(Some(CHOSEN), false).await.unwrap();
        suite
    }

    pub async fn bootstrap(&self, chosen: Option<&str>, is_always_allowed: bool) -> Result<FirstKey, BootstrapFault> {
        let how = Bootstrap {
            chosen_key: chosen.map(str::to_owned),
            is_always_allowed,
            key_file: self.ground.key_file(),
            patience: Duration::from_secs(60),
        };
        bootstrap(&self.deps, &how).await
    }

    /// A request by whoever a key belongs to, as the gateway would pass it on.
    pub fn by_key<T>(&self, key: &str, message: T) -> Request<T> {
        self.by(&self.deps.access.authenticate(key).unwrap(), message)
    }

    /// A request by a user who came without a key.
    pub fn by_user<T>(&self, name: &str, message: T) -> Request<T> {
        let principal = Principal { name: name.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] };
        self.by(&principal, message)
    }

    /// A request by the first administrator.
    pub fn by_admin<T>(&self, message: T) -> Request<T> {
        self.by_user("users/admin", message)
    }

    pub fn by<T>(&self, principal: &Principal, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.deps.access.sign(principal).unwrap();
        request.metadata_mut().insert(PRINCIPAL, token.parse().unwrap());
        request
    }

    pub fn projects(&self) -> ProjectServiceClient<InProcess> {
        ProjectServiceClient::new(self.process.clone())
    }

    pub fn organizations(&self) -> OrganizationServiceClient<InProcess> {
        OrganizationServiceClient::new(self.process.clone())
    }

    pub fn emergencies(&self) -> BreakGlassServiceClient<InProcess> {
        BreakGlassServiceClient::new(self.process.clone())
    }

    pub fn groups(&self) -> GroupServiceClient<InProcess> {
        GroupServiceClient::new(self.process.clone())
    }

    pub fn guardrails(&self) -> GuardrailServiceClient<InProcess> {
        GuardrailServiceClient::new(self.process.clone())
    }

    pub fn roles(&self) -> RoleServiceClient<InProcess> {
        RoleServiceClient::new(self.process.clone())
    }

    pub fn accounts(&self) -> ServiceAccountServiceClient<InProcess> {
        ServiceAccountServiceClient::new(self.process.clone())
    }

    pub fn users(&self) -> UserServiceClient<InProcess> {
        UserServiceClient::new(self.process.clone())
    }

    pub fn keys(&self) -> ApiKeyServiceClient<InProcess> {
        ApiKeyServiceClient::new(self.process.clone())
    }

    pub fn access(&self) -> AccessServiceClient<InProcess> {
        AccessServiceClient::new(self.process.clone())
    }

    pub fn addresses(&self) -> SourceAddressServiceClient<InProcess> {
        SourceAddressServiceClient::new(self.process.clone())
    }

    pub fn tokens(&self) -> TokenServiceClient<InProcess> {
        TokenServiceClient::new(self.process.clone())
    }

    /// Adds a user, and gives them a role if one is named.
    pub async fn user(&self, role: Option<(&str, &str)>) -> String {
        let user = User::default();
        let created = self.by_admin(CreateUserRequest { user: Some(user), request_id: String::new() });
        let name = self.users().create_user(created).await.unwrap().into_inner().name;
        if let Some((role, resource)) = role {
            self.grant(&name, role, resource).await.unwrap();
        }
        name
    }

    /// Opens another project.
    pub async fn open(&self, id: &str) {
        let request = CreateProjectRequest { project_id: id.into(), ..Default::default() };
        self.projects().create_project(self.by_admin(request)).await.unwrap();
    }

    /// Gives a role, as the first administrator.
    pub async fn grant(&self, principal: &str, role: &str, resource: &str) -> Result<Binding, Status> {
        let binding =
            Binding { principal: principal.into(), role: role.into(), resource: resource.into(), ..Default::default() };
        let request = CreateBindingRequest { binding: Some(binding), request_id: String::new() };
        Ok(self.access().create_binding(self.by_admin(request)).await?.into_inner())
    }

    /// Everything of one type in the log.
    pub async fn events(&self, kind: &str) -> Vec<Arc<Recorded>> {
        let filter = Filter { categories: vec![], kinds: vec![format!("cairn.auth.events.v1.{kind}")] };
        let page = self.deps.store.read_all(Position::START, Direction::Forwards, &filter, 1_000).await.unwrap();
        page.events
    }

    /// Waits until an event of this type is in the log.
    pub async fn hears(&self, kind: &str) -> Arc<Recorded> {
        let mut head = self.deps.store.head();
        let waiting = async {
            loop {
                if let Some(found) = self.events(kind).await.first() {
                    return Arc::clone(found);
                }
                head.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the event comes")
    }
}

/// Why a call was refused.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// What else the caller was told.
pub fn values(status: &Status) -> std::collections::HashMap<String, String> {
    status.get_details_error_info().map(|info| info.metadata).unwrap_or_default()
}
