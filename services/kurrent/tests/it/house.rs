use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cairn_access::{Access, Config as AccessConfig, Keyring};
use cairn_contract::Contract;
use cairn_contract::cairn::auth::events::v1::{ProjectCreated, RoleGranted, UserCreated};
use cairn_contract::cairn::experiments::events::v1::RunCreated;
use cairn_eventstore::{Commands, EventStore, Memory, NewEvent, Write};
use cairn_kernel::{Clock, Expected, Metadata, Position, Principal, PrincipalKind, SimClock, StreamName};
use cairn_kurrent::{Config, Door, Identify};
use cairn_kurrent_protocol::shared::{Empty, StreamIdentifier};
use cairn_kurrent_protocol::streams::read_req::options::{self, CountOption, FilterOption, StreamOption};
use cairn_kurrent_protocol::streams::read_resp::Content;
use cairn_kurrent_protocol::streams::read_resp::read_event::RecordedEvent;
use cairn_kurrent_protocol::streams::streams_client::StreamsClient;
use cairn_kurrent_protocol::streams::{AppendReq, AppendResp, ReadReq, ReadResp, append_req};
use cairn_service::guard::Limits;
use cairn_service::{Checked, Deps, Listening};
use futures::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

pub const ADMIN: &str = "users/admin";
/// Manages project a and nothing else.
pub const MANAGER: &str = "users/manager";
/// Sees what there is on the whole deployment, and changes nothing.
pub const VIEWER: &str = "users/viewer";
/// Holds nothing.
pub const GUEST: &str = "users/guest";

pub const EVENT_BYTES_MAX: usize = 1_000;
pub const APPEND_BYTES_MAX: usize = 5_000;

/// The user whom a client of the protocol says that it is.
fn basic(header: &str) -> Option<String> {
    let said = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let (user, _) = std::str::from_utf8(&said).ok()?.split_once(':')?;
    Some(format!("users/{user}"))
}

/// A door, its log, and callers with roles.
pub struct House {
    pub store: Memory,
    pub clock: SimClock,
    /// Where clients of the protocol find it.
    pub address: SocketAddr,
    furnished: u64,
    channel: Channel,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl House {
    pub async fn new() -> Self {
        Self::with(Config::default()).await
    }

    /// One that takes little at once.
    pub async fn with(config: Config) -> Self {
        Self::of(Config {
            event_bytes_max: EVENT_BYTES_MAX,
            append_bytes_max: APPEND_BYTES_MAX,
            ahead_events_max: 3,
            ..config
        })
        .await
    }

    pub async fn of(config: Config) -> Self {
        let clock = SimClock::default();
        let memory = Memory::with_clock(Arc::new(clock.clone()));
        let access = Access::start(
            Arc::new(memory.clone()),
            Arc::new(clock.clone()),
            Arc::new(Keyring::generate()),
            &AccessConfig::default(),
        );
        // Nothing is written but what the contract says that programs write.
        let store: Arc<dyn EventStore> =
            Arc::new(Checked::new(Contract::embedded().unwrap(), Arc::new(memory.clone())));
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::new(clock.clone()), 0),
            access: Arc::clone(&access),
            views_folder: Default::default(),
            keeps_past: false,
            store,
            clock: Arc::new(clock.clone()),
        };
        let identify: Identify = Arc::new(move |headers| {
            let Some(name) = headers.get("authorization").and_then(|value| value.to_str().ok()) else {
                return Ok(None);
            };
            let name = basic(name).unwrap_or_else(|| name.to_owned());
            let principal = Principal { name, kind: PrincipalKind::User, credential: None, scopes: vec![] };
            Ok(Some(access.sign(&principal).unwrap()))
        });
        let reached = Arc::clone(&deps.access);
        let door = Door::new(&deps, config, Limits::default(), identify).map_err(|v| v.to_string()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { door.serve(listener, &Listening::default(), None, stop).await }
        });
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut house = Self { store: memory, clock, address, furnished: 0, channel, stop, serving };
        let position = house.furnish().await;
        house.furnished = position.0;
        reached.reached(position, Instant::now() + WAIT).await.unwrap();
        house
    }

    async fn furnish(&self) -> Position {
        for user in [ADMIN, MANAGER, VIEWER, GUEST] {
            self.record("auth.user", user, &UserCreated { user: user.into() }).await;
        }
        for project in ["projects/a", "projects/b"] {
            self.record("auth.project", project, &ProjectCreated { project: project.into(), ..Default::default() })
                .await;
        }
        let mut position = Position::START;
        for (binding, principal, role, resource) in [
            ("bindings/admin", ADMIN, "roles/admin", "*"),
            ("bindings/viewer", VIEWER, "roles/viewer", "*"),
            ("projects/a/bindings/m", MANAGER, "roles/manager", "projects/a"),
        ] {
            let granted = RoleGranted {
                binding: binding.into(),
                principal: principal.into(),
                role: role.into(),
                resource: resource.into(),
                ..Default::default()
            };
            position = self.record("auth.binding", binding, &granted).await;
        }
        position
    }

    /// A run of the platform, in a project.
    pub async fn run(&self, run: &str) -> Position {
        let created = RunCreated { run: run.into(), display_name: "first try".into(), ..Default::default() };
        self.record("experiments.run", run, &created).await
    }

    /// Appends an event as its service would.
    async fn record<M: prost::Name>(&self, category: &str, id: &str, event: &M) -> Position {
        let metadata = Metadata {
            principal: ADMIN.into(),
            action: format!("{category}.change"),
            resource: id.into(),
            correlation_id: "request-1".into(),
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

    pub fn head(&self) -> u64 {
        self.store.head().borrow().0
    }

    /// How many events came after those that it begins with.
    pub fn added(&self) -> u64 {
        self.head() - self.furnished
    }

    pub fn client(&self) -> StreamsClient<Channel> {
        StreamsClient::new(self.channel.clone())
    }

    /// Asks for the end, and waits for it.
    pub async fn stop(self) {
        self.stop.cancel();
        drop(self.channel);
        timeout(WAIT, self.serving).await.expect("it ends when it is asked to").unwrap();
    }

    pub fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    pub async fn append(
        &self,
        name: &str,
        expected: append_req::options::ExpectedStreamRevision,
        events: Vec<append_req::ProposedMessage>,
    ) -> Result<AppendResp, Status> {
        self.append_as(ADMIN, name, expected, events).await
    }

    pub async fn append_as(
        &self,
        principal: &str,
        name: &str,
        expected: append_req::options::ExpectedStreamRevision,
        events: Vec<append_req::ProposedMessage>,
    ) -> Result<AppendResp, Status> {
        let options =
            append_req::Options { stream_identifier: Some(named(name)), expected_stream_revision: Some(expected) };
        let contents = std::iter::once(append_req::Content::Options(options))
            .chain(events.into_iter().map(append_req::Content::ProposedMessage));
        let messages: Vec<_> = contents.map(|content| AppendReq { content: Some(content) }).collect();
        Ok(self.client().append(of(principal, stream::iter(messages))).await?.into_inner())
    }

    /// Everything that is said of a question, and how it ends.
    pub async fn read(&self, options: options_of::Options) -> Result<Vec<Content>, Status> {
        self.read_as(ADMIN, options).await
    }

    pub async fn read_as(&self, principal: &str, options: options_of::Options) -> Result<Vec<Content>, Status> {
        let mut answers = self.follow_as(principal, options).await?;
        let mut told = vec![];
        while let Some(ReadResp { content }) = answers.message().await? {
            told.extend(content);
        }
        Ok(told)
    }

    pub async fn follow_as(
        &self,
        principal: &str,
        options: options_of::Options,
    ) -> Result<Streaming<ReadResp>, Status> {
        Ok(self.client().read(of(principal, ReadReq { options: Some(options) })).await?.into_inner())
    }
}

pub use cairn_kurrent_protocol::streams::read_req as options_of;

pub const WAIT: Duration = Duration::from_secs(20);

/// A request of somebody; of nobody without a name.
pub fn of<T>(principal: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !principal.is_empty() {
        request.metadata_mut().insert("authorization", principal.parse().unwrap());
    }
    request
}

pub fn named(name: &str) -> StreamIdentifier {
    StreamIdentifier { stream_name: name.to_owned().into() }
}

/// An event of a program.
pub fn proposed(kind: &str, data: &str) -> append_req::ProposedMessage {
    let metadata = [("type", kind), ("content-type", "application/json")];
    append_req::ProposedMessage {
        id: Some(text(Uuid::new_v4())),
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect(),
        custom_metadata: Default::default(),
        data: data.to_owned().into(),
    }
}

pub fn text(id: Uuid) -> cairn_kurrent_protocol::shared::Uuid {
    let value = cairn_kurrent_protocol::shared::uuid::Value::String(id.to_string());
    cairn_kurrent_protocol::shared::Uuid { value: Some(value) }
}

pub use append_req::options::ExpectedStreamRevision as Expect;

/// A question about a stream, from its start.
pub fn stream_from(name: &str, from: options::stream_options::RevisionOption) -> options_of::Options {
    let stream = options::StreamOptions { stream_identifier: Some(named(name)), revision_option: Some(from) };
    asked(StreamOption::Stream(stream))
}

pub fn stream(name: &str) -> options_of::Options {
    stream_from(name, options::stream_options::RevisionOption::Start(Empty {}))
}

/// A question about the whole log.
pub fn all_from(from: options::all_options::AllOption) -> options_of::Options {
    asked(StreamOption::All(options::AllOptions { all_option: Some(from) }))
}

pub fn all() -> options_of::Options {
    all_from(options::all_options::AllOption::Start(Empty {}))
}

pub fn at(position: u64) -> options::all_options::AllOption {
    options::all_options::AllOption::Position(options::Position {
        commit_position: position,
        prepare_position: position,
    })
}

fn asked(what: StreamOption) -> options_of::Options {
    options_of::Options {
        stream_option: Some(what),
        count_option: Some(CountOption::Count(u64::MAX)),
        filter_option: Some(FilterOption::NoFilter(Empty {})),
        uuid_option: Some(options::UuidOption { content: Some(options::uuid_option::Content::String(Empty {})) }),
        ..Default::default()
    }
}

pub fn backwards(options: options_of::Options) -> options_of::Options {
    options_of::Options { read_direction: options::ReadDirection::Backwards.into(), ..options }
}

pub fn limited(options: options_of::Options, count: u64) -> options_of::Options {
    options_of::Options { count_option: Some(CountOption::Count(count)), ..options }
}

pub fn followed(options: options_of::Options) -> options_of::Options {
    options_of::Options { count_option: Some(CountOption::Subscription(options::SubscriptionOptions {})), ..options }
}

/// The events among what was said.
pub fn events(told: &[Content]) -> Vec<&RecordedEvent> {
    let mut found = vec![];
    for content in told {
        if let Content::Event(event) = content {
            found.extend(&event.event);
        }
    }
    found
}

/// Revisions of the events among what was said.
pub fn revisions(told: &[Content]) -> Vec<u64> {
    events(told).iter().map(|event| event.stream_revision).collect()
}

/// The next thing that a subscription says.
pub async fn next(answers: &mut Streaming<ReadResp>) -> Result<Content, Status> {
    let said = timeout(WAIT, answers.message()).await.expect("it says something")?;
    Ok(said.expect("a subscription has no end").content.expect("an answer says something"))
}

/// What a refusal says by a trailer.
pub fn trailer<'a>(status: &'a Status, key: &str) -> &'a str {
    status.metadata().get(key).map_or("", |value| value.to_str().unwrap())
}

/// Whether the clock says what it is told, for tests that let time pass.
pub fn pass(house: &House, time: Duration) {
    let before = house.clock.now();
    house.clock.advance(time);
    assert!(house.clock.now() > before);
}
