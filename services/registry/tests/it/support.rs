use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_access::ProjectQuota;
use cairn_eventstore::{Commands, Direction, EventStore, Filter, Memory, NewEvent, Order, RequestKey, Write};
use cairn_kernel::{Expected, Metadata, Position, SimClock, StreamName};
use cairn_objects::{ObjectStore, Signer};
use cairn_projection::View;
use cairn_registry::app::{App, Call, NewModel, NewVersion};
use cairn_registry::model::version::Facts;
use cairn_registry::model::{ModelName, ProjectName, VersionName};
use cairn_registry::query::{ModelSearch, VersionSearch, Visible};
use cairn_registry::search::{model_filter, model_order, version_filter, version_order};
use cairn_registry::{Config, hooks, open};
use cairn_service::AsOfReads;
use prost::{Message, Name};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

/// This service over a log in memory and read models in a folder of its own.
pub struct Service {
    pub app: App,
    pub view: View,
    pub store: Memory,
    pub objects: Arc<dyn ObjectStore>,
    pub clock: SimClock,
    _folder: TempDir,
}

impl Service {
    pub fn new() -> Self {
        Self::over(Memory::new())
    }

    pub fn with(config: Config) -> Self {
        Self::of(Memory::new(), config)
    }

    /// Another one over the same log: its read models start from nothing.
    pub fn over(store: Memory) -> Self {
        Self::of(store, Config::default())
    }

    fn of(store: Memory, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = SimClock::default();
        let log: Arc<dyn EventStore> = Arc::new(store.clone());
        let commands = Commands::new(Arc::clone(&log), Arc::new(clock.clone()), 64 << 20);
        let now = Arc::new(clock.clone());
        let past = AsOfReads::none(Arc::clone(&log), now.clone());
        let tools = hooks::open(
            &log,
            commands.clone(),
            now.clone(),
            folder.path(),
            hooks::Config::default(),
            sealer(folder.path()),
        )
        .unwrap();
        let objects = objects();
        let (app, [view, _]) = open(log, commands, now, folder.path(), past, config, tools, objects.clone()).unwrap();
        Self { app, view, store, objects, clock, _folder: folder }
    }

    /// Puts an event of another service into the log.
    pub async fn hear<M: Message + Name>(&self, stream: &str, message: M) {
        hear(&self.store, stream, message).await;
    }

    pub async fn model(&self, display_name: &str) -> ModelName {
        self.tagged(display_name, &[]).await
    }

    pub async fn tagged(&self, display_name: &str, tags: &[(&str, &str)]) -> ModelName {
        self.app.create_model(&call(), &project(), new_model(display_name, tags)).await.unwrap().value.name
    }

    pub async fn version(&self, model: &ModelName, tags: &[(&str, &str)], metrics: &[(&str, f64)]) -> VersionName {
        self.app.create_version(&call(), model, new_version(tags, metrics)).await.unwrap().value.name
    }

    /// The display names that a search finds, in its order, page by page.
    pub async fn find_models(&self, filter: &str, order: &[&str]) -> Vec<String> {
        let (filter, prompts) = model_filter(filter).unwrap();
        let mut search = ModelSearch {
            project: project(),
            visible: Visible::all(),
            filter,
            prompts,
            order: model_order(&texts(order)).unwrap(),
            limit: 2,
            page_token: String::new(),
        };
        let mut found = vec![];
        loop {
            let page = self.app.query().search_models(search.clone()).await.unwrap();
            found.extend(page.models.into_iter().map(|model| model.display_name));
            if page.next_page_token.is_empty() {
                return found;
            }
            search.page_token = page.next_page_token;
        }
    }

    /// `{model}/{number}` of what a search finds, in its order, page by page.
    pub async fn find_versions(&self, filter: &str, order: &[&str]) -> Vec<String> {
        let (filter, prompts) = version_filter(filter).unwrap();
        let mut search = VersionSearch {
            project: project(),
            model: None,
            visible: Visible::all(),
            filter,
            prompts,
            order: version_order(&texts(order)).unwrap(),
            limit: 2,
            page_token: String::new(),
        };
        let mut found = vec![];
        loop {
            let page = self.app.query().search_versions(search.clone()).await.unwrap();
            let name = |version: cairn_registry::query::VersionRecord| {
                format!("{}/{}", version.model_display_name, version.name.number())
            };
            found.extend(page.versions.into_iter().map(name));
            if page.next_page_token.is_empty() {
                return found;
            }
            search.page_token = page.next_page_token;
        }
    }

    /// The last position of the log.
    pub fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    /// The short names of the last `count` events up to a position.
    pub async fn kinds_before(&self, position: Position, count: u64) -> Vec<String> {
        let from = Position(position.0 - count);
        let page = self.store.read_all(from, Direction::Forwards, &Filter::all(), count as usize).await.unwrap();
        page.events.iter().map(|event| event.kind.rsplit('.').next().unwrap().to_owned()).collect()
    }

    pub async fn set_alias(&self, version: &VersionName, alias: &str) {
        let model = version.parent();
        let alias = alias.parse().unwrap();
        self.app.set_alias(&call(), &model, Expected::Any, &alias, version.number()).await.unwrap();
    }
}

/// Puts an event of another service into a log.
pub async fn hear<M: Message + Name>(store: &dyn EventStore, stream: &str, message: M) {
    let event = NewEvent {
        id: Uuid::new_v4(),
        kind: M::full_name().into(),
        payload: message.encode_to_vec().into(),
        metadata: Metadata::default().encode().into(),
    };
    let write = Write::new(StreamName::stored(stream), Expected::Any, vec![event]);
    store.append(vec![write]).await.unwrap();
}

/// A place for bytes in memory.
pub fn objects() -> Arc<dyn ObjectStore> {
    Arc::new(cairn_objects::Memory::new(Signer::new(&[1; 32], "http://localhost")))
}

pub fn project() -> ProjectName {
    "projects/p".parse().unwrap()
}

pub fn call() -> Call {
    by("users/ada")
}

pub fn by(principal: &str) -> Call {
    let metadata = Metadata { principal: principal.into(), ..Metadata::default() };
    Call {
        order: Order { metadata, request: None },
        deadline: Instant::now() + Duration::from_secs(10),
        after: None,
        as_of: None,
        quota: ProjectQuota::default(),
    }
}

/// A call that can be repeated.
pub fn request(id: &str) -> Call {
    let mut call = call();
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes());
    call.order.request = Some(RequestKey { id, hash: "h".into() });
    call
}

pub fn new_model(display_name: &str, tags: &[(&str, &str)]) -> NewModel {
    NewModel {
        name: None,
        display_name: display_name.parse().unwrap(),
        description: String::new(),
        tags: pairs(tags),
        origin: None,
    }
}

pub fn new_version(tags: &[(&str, &str)], metrics: &[(&str, f64)]) -> NewVersion {
    let metrics = metrics.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    NewVersion {
        description: String::new(),
        tags: pairs(tags),
        facts: Facts { metrics: Arc::new(metrics), ..Facts::default() },
        import: None,
    }
}

pub fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Seals in a folder. Its keys are in a file, so nothing is waited for.
pub fn sealer(folder: &std::path::Path) -> cairn_seal::Sealer {
    futures::executor::block_on(cairn_seal::Config::default().start(folder, "test")).unwrap()
}
