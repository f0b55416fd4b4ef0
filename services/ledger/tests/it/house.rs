use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_access::{Access, Config, Keyring};
use cairn_contract::cairn::auth::events::v1::{ProjectCreated, RoleGranted, RoleWithdrawn, UserCreated};
use cairn_contract::cairn::experiments::events::v1::{RunCreated, RunFinished};
use cairn_contract::cairn::ledger::v1::ledger_service_client::LedgerServiceClient;
use cairn_contract::cairn::ledger::v1::lineage_service_client::LineageServiceClient;
use cairn_contract::cairn::ledger::v1::organization_log_service_client::OrganizationLogServiceClient;
use cairn_contract::cairn::ledger::v1::transparency_service_client::TransparencyServiceClient;
use cairn_contract::cairn::ledger::v1::{AuditRecord, ListAuditRecordsRequest};
use cairn_contract::cairn::openlineage::v1::open_lineage_service_client::OpenLineageServiceClient;
use cairn_eventstore::{Commands, EventStore, Memory, NewEvent, Write};
use cairn_kernel::{Clock, Expected, Metadata, Position, Principal, PrincipalKind, StreamName, SystemClock};
use cairn_projection::View;
use cairn_service::guard::{AFTER, GuardLayer, Limits, PRINCIPAL, REQUEST_ID, SEALED_SOURCE};
use cairn_service::{Deps, InProcess};
use tokio::time::Instant;
use tonic::Request;
use uuid::Uuid;

/// The ledger, its log, and callers with roles.
pub struct House {
    pub store: Memory,
    pub access: Arc<Access>,
    pub journal: View,
    views: Vec<View>,
    channel: InProcess,
    folder: Arc<tempfile::TempDir>,
}

pub const ADMIN: &str = "users/admin";
/// Manages project a and nothing else.
pub const MANAGER: &str = "users/manager";
/// Holds nothing.
pub const GUEST: &str = "users/guest";

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

impl House {
    pub async fn new() -> Self {
        let house = Self::over(Memory::new(), Arc::new(tempfile::tempdir().unwrap()));
        house.furnish().await;
        house
    }

    /// Over a log and a data folder that may have been there before.
    pub fn over(memory: Memory, folder: Arc<tempfile::TempDir>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store: Arc<dyn EventStore> = Arc::new(memory.clone());
        let keyring = Arc::new(Keyring::generate());
        let access = Access::start(Arc::clone(&store), Arc::clone(&clock), keyring, &Config::default());
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), 0),
            access: Arc::clone(&access),
            views_folder: folder.path().join("views"),
            keeps_past: true,
            store,
            clock,
        };
        let mounted = cairn_ledger::mount(&deps, &cairn_ledger::Config::default(), folder.path()).unwrap();
        let guard = GuardLayer::new(&deps, Limits::default()).map_err(|v| v.to_string()).unwrap();
        let channel = InProcess::new(guard, [mounted.routes]);
        let journal = mounted.views[0].clone();
        Self { store: memory, access, journal, views: mounted.views, channel, folder }
    }

    /// Stops, and gives what a next one may start from.
    pub async fn stop(self) -> (Memory, Arc<tempfile::TempDir>) {
        for view in &self.views {
            view.stop(Duration::from_secs(20)).await;
        }
        (self.store, self.folder)
    }

    /// Where the ledger keeps what cannot be made again.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Three users, two projects, two bindings: seven events.
    pub async fn furnish(&self) {
        for user in [ADMIN, MANAGER, GUEST] {
            self.record("auth.user", user, ADMIN, &UserCreated { user: user.into() }).await;
        }
        for project in ["projects/a", "projects/b"] {
            let created = ProjectCreated { project: project.into(), ..Default::default() };
            self.record("auth.project", project, ADMIN, &created).await;
        }
        self.grant("bindings/admin", ADMIN, "roles/admin", "*").await;
        let position = self.grant("projects/a/bindings/m", MANAGER, "roles/manager", "projects/a").await;
        self.access.reached(position, soon()).await.unwrap();
    }

    pub async fn grant(&self, binding: &str, principal: &str, role: &str, resource: &str) -> Position {
        let granted = RoleGranted {
            binding: binding.into(),
            principal: principal.into(),
            role: role.into(),
            resource: resource.into(),
            ..Default::default()
        };
        self.record("auth.binding", binding, ADMIN, &granted).await
    }

    pub async fn withdraw(&self, binding: &str, principal: &str, role: &str, resource: &str) {
        let withdrawn = RoleWithdrawn {
            binding: binding.into(),
            principal: principal.into(),
            role: role.into(),
            resource: resource.into(),
            ..Default::default()
        };
        let position = self.record("auth.binding", binding, ADMIN, &withdrawn).await;
        self.access.reached(position, soon()).await.unwrap();
    }

    /// A run from its beginning to its end: two events under one request id.
    pub async fn run(&self, run: &str, principal: &str) -> Position {
        let created = RunCreated { run: run.into(), display_name: "first try".into(), ..Default::default() };
        self.record("experiments.run", run, principal, &created).await;
        self.record("experiments.run", run, principal, &RunFinished { run: run.into(), ..Default::default() }).await
    }

    /// Appends an event as its service would.
    pub async fn record<M: prost::Name>(&self, category: &str, id: &str, principal: &str, event: &M) -> Position {
        let metadata = Metadata {
            principal: principal.into(),
            action: format!("{category}.change"),
            resource: id.into(),
            request_id: format!("request-{}", id.replace('/', "-")),
            source_address: Some("10.0.0.7".into()),
            decision_id: Some("d-1".into()),
            ..Metadata::default()
        };
        let event = NewEvent {
            id: Uuid::new_v4(),
            kind: M::full_name().into(),
            payload: event.encode_to_vec().into(),
            metadata: metadata.encode().into(),
        };
        let write = Write::new(StreamName::of(category, id), Expected::Any, vec![event]);
        self.store.append(vec![write]).await.unwrap().position
    }

    /// The end of the log, with everything the guard has written meanwhile.
    pub fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    pub fn client(&self) -> LedgerServiceClient<InProcess> {
        LedgerServiceClient::new(self.channel.clone())
    }

    pub fn transparency(&self) -> TransparencyServiceClient<InProcess> {
        TransparencyServiceClient::new(self.channel.clone())
    }

    pub fn organization_log(&self) -> OrganizationLogServiceClient<InProcess> {
        OrganizationLogServiceClient::new(self.channel.clone())
    }

    pub fn lineage(&self) -> LineageServiceClient<InProcess> {
        LineageServiceClient::new(self.channel.clone())
    }

    pub fn open_lineage(&self) -> OpenLineageServiceClient<InProcess> {
        OpenLineageServiceClient::new(self.channel.clone())
    }

    /// The view of the lineage graph.
    pub fn graph(&self) -> &View {
        self.views.iter().find(|view| view.name().starts_with("ledger.lineage")).unwrap()
    }

    /// A request of somebody, who has seen all there is.
    pub fn of<T>(&self, principal: &str, message: T) -> Request<T> {
        let principal =
            Principal { name: principal.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] };
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(PRINCIPAL, self.access.sign(&principal).unwrap().parse().unwrap());
        metadata.insert(AFTER, self.head().0.into());
        metadata.insert(SEALED_SOURCE, "sealed:somewhere".parse().unwrap());
        metadata.insert(REQUEST_ID, "asked-by-test".parse().unwrap());
        request
    }

    /// The whole answer to a question about the audit log.
    pub async fn audit(&self, principal: &str, asked: ListAuditRecordsRequest) -> Vec<AuditRecord> {
        let answer = self.client().list_audit_records(self.of(principal, asked)).await.unwrap().into_inner();
        assert_eq!(answer.next_page_token, "", "the answer fits on a page");
        answer.audit_records
    }
}
