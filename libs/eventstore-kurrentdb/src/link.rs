use std::time::Duration;

use cairn_eventstore_sqlite::Entry;
use eventstore::{
    AppendToStreamOptions, Client, ClientSettings, EventData, ReadStreamOptions, RecordedEvent, StreamPosition,
    StreamState, SubscribeToStreamOptions, Subscription,
};
use parking_lot::Mutex;
use tokio::time::timeout;
use tracing::{info, warn};
use uuid::Uuid;

use crate::entry;
use crate::fault::Fault;

/// Entries that are read together.
const PAGE: usize = 1_024;
/// Bytes of events from which on no more are read with them.
const PAGE_BYTES: usize = 16 << 20;

/// The log's stream in KurrentDB, over a client that is made anew whenever it may have lost its way: one whose first
/// connection failed stays without for ever, and one of a cluster keeps to a node that has died.
pub(crate) struct Link {
    settings: ClientSettings,
    stream: String,
    patience: Duration,
    client: Mutex<Option<Client>>,
    /// Why the server cannot be used now.
    trouble: Mutex<Option<String>>,
}

impl Link {
    pub(crate) fn new(settings: ClientSettings, stream: String, patience: Duration) -> Self {
        Self { settings, stream, patience, client: Mutex::default(), trouble: Mutex::default() }
    }

    /// Host and port of the server, or of the first of them.
    pub(crate) fn place(&self) -> String {
        self.settings.hosts().first().map_or_else(String::new, |host| format!("{}:{}", host.host, host.port))
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// The log that the stream's first event names. `None`: there is no such stream.
    pub(crate) async fn log(&self) -> Result<Option<Result<Uuid, String>>, Fault> {
        let options = ReadStreamOptions::default().position(StreamPosition::Start).max_count(1);
        let read = self.call(async |client, stream| {
            let mut events = client.read_stream(stream, &options).await?;
            events.next().await
        });
        match read.await {
            Ok(event) => Ok(event.map(|event| entry::named(event.get_original_event()))),
            Err(Fault::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Appends behind the first `count` events of the stream.
    pub(crate) async fn append(&self, count: u64, events: Vec<EventData>) -> Result<(), Fault> {
        let state = count.checked_sub(1).map_or(StreamState::NoStream, StreamState::StreamRevision);
        let options = AppendToStreamOptions::default().stream_state(state).deadline(self.patience);
        self.call(async |client, stream| client.append_to_stream(stream, &options, events).await).await.map(drop)
    }

    /// How many events the stream has.
    pub(crate) async fn count(&self) -> Result<u64, Fault> {
        let options = ReadStreamOptions::default().backwards().position(StreamPosition::End).max_count(1);
        let last = self.call(async |client, stream| {
            let mut events = client.read_stream(stream, &options).await?;
            events.next().await
        });
        Ok(last.await?.map_or(0, |event| event.get_original_event().revision + 1))
    }

    /// Entries behind the first `held` ones, from the oldest. None: there are no more.
    pub(crate) async fn entries(&self, held: u64) -> Result<Vec<Entry>, Fault> {
        let from = StreamPosition::Position(held + 1);
        let options = ReadStreamOptions::default().forwards().position(from).max_count(PAGE);
        let read = self.call(async |client, stream| {
            let mut events = client.read_stream(stream, &options).await?;
            let (mut entries, mut bytes) = (vec![], 0);
            while bytes < PAGE_BYTES
                && let Some(event) = events.next().await?
            {
                let event = event.get_original_event();
                bytes += event.data.len() + event.custom_metadata.len();
                entries.push(entry_at(held + 1 + entries.len() as u64, event));
            }
            Ok(entries)
        });
        read.await?.into_iter().collect()
    }

    /// Follows the stream from behind the first `held` entries.
    pub(crate) async fn subscribe(&self, held: u64) -> Result<Subscription, Fault> {
        let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Position(held));
        self.call(async |client, stream| Ok(client.subscribe_to_stream(stream, &options).await)).await
    }

    /// Notes what came of a call, or of a subscription.
    pub(crate) fn heard(&self, fault: Option<&Fault>) {
        let mut trouble = self.trouble.lock();
        match fault {
            Some(fault @ (Fault::Away(_) | Fault::Denied)) => {
                *self.client.lock() = None;
                let why = fault.why();
                if trouble.replace(why.clone()).is_none() {
                    warn!(why, "KurrentDB does not answer: appends are refused until it does");
                }
            }
            _ if trouble.take().is_some() => info!("KurrentDB answers again"),
            _ => {}
        }
    }

    async fn call<T>(&self, call: impl AsyncFnOnce(Client, &str) -> eventstore::Result<T>) -> Result<T, Fault> {
        let answer = match self.client() {
            Ok(client) => match timeout(self.patience, call(client, &self.stream)).await {
                Ok(answer) => answer.map_err(|error| Fault::of(&error)),
                Err(_) => Err(Fault::Away(format!("no answer within {} ms", self.patience.as_millis()))),
            },
            Err(fault) => Err(fault),
        };
        self.heard(answer.as_ref().err());
        answer
    }

    fn client(&self) -> Result<Client, Fault> {
        let mut client = self.client.lock();
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let made = Client::new(self.settings.clone()).map_err(|fault| Fault::Away(fault.to_string()))?;
        Ok(client.insert(made).clone())
    }
}

/// The entry that an event of the stream is, which must be of this revision: with those before it gone, as where the stream
/// does not keep everything, the log would have a hole that nobody sees.
pub(crate) fn entry_at(revision: u64, event: &RecordedEvent) -> Result<Entry, Fault> {
    if event.revision != revision {
        return Err(Fault::Lost(format!("the log's stream has event {} in the place of {revision}", event.revision)));
    }
    entry::read(event).map_err(Fault::Refused)
}
