use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::kv::{self, UpdateErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use async_trait::async_trait;
use bytes::Bytes;
use cairn_ingest_queue::{BURIED_MAX, Limits, Message, Queue, QueueFault, REPEAT_WINDOW, Standing, agree};
use cairn_kernel::Time;
use futures::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::Address;
use crate::address::Login;
use crate::cursor::Cursor;
use crate::durable::{Durability, REPLICAS_MIN, ask};

/// The key of the table of members.
const TABLE: &str = "table";
/// What a message that was put away says of why.
const REASON: &str = "Cairn-Reason";
/// Bytes that the headers of a message take at most.
const HEADERS_BYTES: usize = 1 << 10;
/// Longest pause before the next try to connect.
const RECONNECT_MAX: Duration = Duration::from_millis(500);
/// What the server says of a stream that holds as much as it may.
const FULL: [&str; 2] = ["maximum messages exceeded", "maximum bytes exceeded"];

/// A queue in a NATS.
pub struct NatsQueue {
    address: Address,
    prefix: String,
    durability: Durability,
    limits: Limits,
    connection: OnceCell<(Client, Context)>,
    /// Readers that nobody reads from at this moment.
    cursors: Mutex<HashMap<u16, Cursor>>,
}

impl NatsQueue {
    /// The queue that the streams called `prefix` make up, in a NATS that need not answer yet.
    pub fn new(address: Address, prefix: &str, durability: Durability, limits: Limits) -> Self {
        let (connection, cursors) = (OnceCell::new(), Mutex::default());
        Self { address, prefix: prefix.to_owned(), durability, limits, connection, cursors }
    }

    async fn connection(&self) -> Result<&(Client, Context), QueueFault> {
        let connect = async || {
            let patience = self.limits.patience;
            let mut options = ConnectOptions::new()
                .name("cairn")
                .retry_on_initial_connect()
                .connection_timeout(patience)
                .request_timeout(Some(patience))
                .reconnect_delay_callback(|tries| RECONNECT_MAX.min(Duration::from_millis(20 << tries.min(5))));
            if let Some(file) = &self.address.credentials {
                let unreadable = |fault| QueueFault::Unsuitable(format!("{} cannot be used: {fault}", file.display()));
                options = options.credentials_file(file).await.map_err(unreadable)?;
            }
            options = match self.address.login() {
                Some(Login::Password(user, password)) => options.user_and_password(user, password),
                Some(Login::Token(token)) => options.token(token),
                None => options,
            };
            let client = options.connect(&self.address.servers[..]).await.map_err(away)?;
            let context = jetstream::context::ContextBuilder::new().timeout(patience).ack_timeout(patience);
            Ok((client.clone(), context.build(client)))
        };
        self.connection.get_or_try_init(connect).await
    }

    async fn context(&self) -> Result<&Context, QueueFault> {
        Ok(&self.connection().await?.1)
    }

    fn stream(&self, partition: u16) -> String {
        format!("{}-{partition}", self.prefix)
    }

    fn subject(&self, partition: u16) -> String {
        format!("{}.{partition}", self.prefix)
    }

    fn replicas(&self) -> usize {
        match self.durability {
            Durability::Synced => 1,
            Durability::Replicated => REPLICAS_MIN,
        }
    }

    async fn make_partition(&self, partition: u16) -> Result<Info, QueueFault> {
        let config = Config {
            name: self.stream(partition),
            subjects: vec![self.subject(partition)],
            description: Some("Batches on their way into Cairn's log.".to_owned()),
            max_messages: i64::try_from(self.limits.depth_max).unwrap_or(i64::MAX),
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: self.replicas(),
            duplicate_window: REPEAT_WINDOW,
            ..Config::default()
        };
        self.made(config).await
    }

    async fn made(&self, config: Config) -> Result<Info, QueueFault> {
        self.context().await?.create_or_update_stream(config).await.map_err(|fault| {
            match fault.kind() {
                // It has an opinion of its own, which no repetition changes.
                jetstream::context::CreateStreamErrorKind::JetStream(error) if error.code() < 503 => {
                    QueueFault::Unsuitable(format!("it does not make a stream: {error}"))
                }
                _ => away(fault),
            }
        })
    }

    async fn bucket(&self) -> Result<kv::Store, QueueFault> {
        self.context().await?.get_key_value(&self.prefix).await.map_err(away)
    }

    async fn info(&self, partition: u16) -> Result<Info, QueueFault> {
        let stream = self.context().await?.get_stream_no_info(self.stream(partition)).await.map_err(away)?;
        stream.get_info().await.map_err(away)
    }

    /// Whether as many servers have a copy of what is in a stream as have to.
    fn is_replicated(&self, info: &Info) -> Result<(), QueueFault> {
        let copies =
            info.cluster.as_ref().map_or(1, |cluster| cluster.replicas.len() + 1).min(info.config.num_replicas);
        match self.durability {
            Durability::Replicated if copies < REPLICAS_MIN => Err(QueueFault::Unsuitable(format!(
                "INGEST_QUEUE_NOT_DURABLE: {copies} servers have a copy of the stream {}, and ingest.durability = replicated \
                 wants {REPLICAS_MIN}",
                info.config.name
            ))),
            _ => Ok(()),
        }
    }
}

/// Any failure of the engine, with its causes.
pub(crate) fn away(fault: impl Error) -> QueueFault {
    let (mut text, mut cause) = (fault.to_string(), fault.source());
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    QueueFault::Away(text)
}

#[async_trait]
impl Queue for NatsQueue {
    fn kind(&self) -> &'static str {
        "NATS JetStream"
    }

    fn place(&self) -> String {
        self.address.place()
    }

    async fn check(&self) -> Result<(), QueueFault> {
        let (client, context) = self.connection().await?;
        context.query_account().await.map_err(away)?;
        let (takes, needed) = (client.server_info().max_payload, self.limits.message_bytes_max + HEADERS_BYTES);
        if takes < needed {
            return Err(QueueFault::Unsuitable(format!(
                "NATS takes messages of {takes} bytes, and ingest.message_bytes_max = {} needs {needed}: raise its max_payload, or \
                 lower the setting",
                self.limits.message_bytes_max
            )));
        }
        match self.durability {
            Durability::Synced => {
                ask(&self.address.monitoring, &client.server_info().server_id, self.limits.patience).await
            }
            // What there is to check is in the streams.
            Durability::Replicated => match self.info(0).await {
                Ok(info) => self.is_replicated(&info),
                Err(_) => Ok(()),
            },
        }
    }

    async fn prepare(&self, partitions: u16) -> Result<(), QueueFault> {
        self.check().await?;
        let bucket = kv::Config {
            bucket: self.prefix.clone(),
            description: "Which process works on which partition.".to_owned(),
            history: 1,
            storage: StorageType::File,
            num_replicas: self.replicas(),
            ..kv::Config::default()
        };
        self.context().await?.create_or_update_key_value(bucket).await.map_err(away)?;
        agree(self, partitions).await?;
        let made = try_join_all((0..partitions).map(|partition| self.make_partition(partition))).await?;
        let dead = Config {
            name: format!("{}-dead", self.prefix),
            subjects: vec![format!("{}.dead", self.prefix)],
            description: Some("Batches that could never be logged.".to_owned()),
            max_messages: BURIED_MAX.into(),
            storage: StorageType::File,
            num_replicas: self.replicas(),
            ..Config::default()
        };
        self.made(dead).await?;
        made.iter().try_for_each(|info| self.is_replicated(info))
    }

    async fn enqueue(&self, partition: u16, id: Uuid, body: Bytes) -> Result<u64, QueueFault> {
        let message = PublishMessage::build().payload(body).message_id(id.simple().to_string());
        let message = message.expected_stream(self.stream(partition));
        let context = self.context().await?;
        let acknowledged = match context.send_publish(self.subject(partition), message).await {
            Ok(sent) => sent.await,
            Err(fault) => Err(fault),
        };
        acknowledged.map(|ack| ack.sequence).map_err(|fault| {
            let is_full = |fault: &dyn Error| FULL.iter().any(|full| fault.to_string().contains(full));
            match fault.kind() {
                PublishErrorKind::Other if fault.source().is_some_and(is_full) => {
                    QueueFault::Full(format!("partition {partition} holds {} messages already", self.limits.depth_max))
                }
                _ => away(fault),
            }
        })
    }

    async fn read(&self, partition: u16, after: u64, patience: Duration) -> Result<Vec<Message>, QueueFault> {
        let (context, stream) = (self.context().await?, self.stream(partition));
        let known = self.cursors.lock().remove(&partition).filter(|cursor| cursor.is_after(after));
        let mut cursor = match known {
            Some(cursor) => cursor,
            None => Cursor::open(context, &stream, after).await?,
        };
        let read = match cursor.read(patience).await? {
            Some(read) => read,
            // One was sent to nobody: from there again.
            None => {
                cursor = Cursor::open(context, &stream, after).await?;
                cursor.read(patience).await?.unwrap_or_default()
            }
        };
        self.cursors.lock().insert(partition, cursor);
        Ok(read)
    }

    async fn finish(&self, partition: u16, up_to: u64) -> Result<(), QueueFault> {
        let stream = self.context().await?.get_stream_no_info(self.stream(partition)).await.map_err(away)?;
        stream.purge().sequence(up_to + 1).await.map(drop).map_err(away)
    }

    async fn standing(&self, partition: u16) -> Result<Standing, QueueFault> {
        let state = self.info(partition).await?.state;
        Ok(match state.messages {
            0 => Standing { enqueued: state.last_sequence, finished: state.last_sequence, oldest: None },
            _ => Standing {
                enqueued: state.last_sequence,
                finished: state.first_sequence.saturating_sub(1),
                oldest: Some(Time::from_seconds_and_nanos(
                    state.first_timestamp.unix_timestamp(),
                    state.first_timestamp.nanosecond().cast_signed(),
                )),
            },
        })
    }

    async fn bury(&self, body: Bytes, reason: &str) -> Result<(), QueueFault> {
        // A header is one line.
        let reason = reason.replace(['\r', '\n'], " ");
        let message = PublishMessage::build().payload(body).header(REASON, reason.as_str());
        let sent = self.context().await?.send_publish(format!("{}.dead", self.prefix), message).await.map_err(away)?;
        sent.await.map(drop).map_err(away)
    }

    async fn table(&self) -> Result<(Option<Bytes>, u64), QueueFault> {
        let entry = self.bucket().await?.entry(TABLE).await.map_err(away)?;
        Ok(entry.map_or((None, 0), |entry| (Some(entry.value), entry.revision)))
    }

    async fn swap(&self, version: u64, table: Bytes) -> Result<bool, QueueFault> {
        match self.bucket().await?.update(TABLE, table, version).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(fault) => Err(away(fault)),
        }
    }
}
