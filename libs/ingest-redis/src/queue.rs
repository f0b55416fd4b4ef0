use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_ingest_queue::{BURIED_MAX, Limits, Message, Queue, QueueFault, REPEAT_WINDOW, Standing, agree};
use cairn_kernel::{Secret, Time};
use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, Script, ServerErrorKind,
    cmd,
};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use uuid::Uuid;

use crate::durable::{NEEDED, problem};
use crate::script::{ENQUEUE, STANDING, SWAP};

/// Messages of one read.
const READ_MAX: usize = 256;
/// How much longer than it was told to wait a read may take.
const LATE_MAX: Duration = Duration::from_secs(2);

/// What one read answers: of each stream its messages, each with its fields.
type Read = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;

/// A queue in a Redis.
pub struct RedisQueue {
    client: Client,
    /// Where, without a password.
    place: String,
    prefix: String,
    limits: Limits,
    connection: OnceCell<ConnectionManager>,
    /// Connections of their own for reads that wait, which hold up whatever comes after them.
    waiting: Mutex<HashMap<u16, MultiplexedConnection>>,
    enqueue: Script,
    standing: Script,
    swap: Script,
}

impl RedisQueue {
    /// The queue that the keys below `prefix` make up in the Redis at `url`, which need not answer yet.
    pub fn new(url: &Secret, prefix: &str, limits: Limits) -> Result<Self, String> {
        // The address itself stays out of messages: a password may be in it.
        let wrong = |_: RedisError| "is no address of a Redis such as rediss://user:password@host:6379/0".to_owned();
        let info = url.expose().into_connection_info().map_err(wrong)?;
        let user = info.redis_settings().username().map(|user| format!("{user}@")).unwrap_or_default();
        let place = format!("Redis at {user}{}/{}", info.addr(), info.redis_settings().db());
        Ok(Self {
            client: Client::open(info).map_err(wrong)?,
            place,
            // In a cluster of Redis, all keys of one queue belong together.
            prefix: format!("{{{prefix}}}"),
            limits,
            connection: OnceCell::new(),
            waiting: Mutex::default(),
            enqueue: Script::new(ENQUEUE),
            standing: Script::new(STANDING),
            swap: Script::new(SWAP),
        })
    }

    fn stream(&self, partition: u16) -> String {
        format!("{}:{partition}", self.prefix)
    }

    fn counter(&self, partition: u16) -> String {
        format!("{}:{partition}:last", self.prefix)
    }

    async fn connection(&self) -> Result<ConnectionManager, QueueFault> {
        let patience = self.limits.patience;
        let manager = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200))
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let connect = async || ConnectionManager::new_lazy_with_config(self.client.clone(), manager);
        Ok(self.connection.get_or_try_init(connect).await.map_err(away)?.clone())
    }

    /// One answer, within the time it may take.
    async fn ask<T>(&self, asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, QueueFault> {
        let patience = self.limits.patience;
        let late = |_| QueueFault::Away(format!("no answer within {} ms", patience.as_millis()));
        timeout(patience, asked).await.map_err(late)?.map_err(away)
    }

    async fn command<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, QueueFault> {
        let mut connection = self.connection().await?;
        self.ask(command.query_async(&mut connection)).await
    }

    /// A connection that nothing is under way on.
    async fn of_its_own(&self, partition: u16) -> Result<MultiplexedConnection, QueueFault> {
        if let Some(known) = self.waiting.lock().remove(&partition) {
            return Ok(known);
        }
        // How long an answer may take is said for each read.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(self.limits.patience)).set_response_timeout(None);
        self.ask(self.client.get_multiplexed_async_connection_with_config(&config)).await
    }
}

/// What Redis says when it cannot now; and what it will say until somebody changes something.
fn away(fault: RedisError) -> QueueFault {
    match fault.kind() {
        ErrorKind::AuthenticationFailed => QueueFault::Unsuitable(format!("it lets nobody in: {fault}")),
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            QueueFault::Unsuitable(format!("it forbids what is needed: {fault}"))
        }
        _ => QueueFault::Away(fault.to_string()),
    }
}

/// The place in `17-0`.
fn place(id: &str) -> u64 {
    id.split('-').next().and_then(|part| part.parse().ok()).unwrap_or_default()
}

#[async_trait]
impl Queue for RedisQueue {
    fn kind(&self) -> &'static str {
        "Redis"
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    async fn check(&self) -> Result<(), QueueFault> {
        let mut found = vec![];
        for (name, _) in NEEDED {
            let answer: Result<Vec<String>, _> = self.command(cmd("CONFIG").arg("GET").arg(name)).await;
            let answer = match answer {
                Err(QueueFault::Unsuitable(why)) => {
                    return Err(QueueFault::Unsuitable(format!(
                        "INGEST_QUEUE_NOT_DURABLE: this Redis does not say how it keeps what it acknowledges ({why}); let its \
                         user run CONFIG GET, or choose another queue"
                    )));
                }
                answer => answer?,
            };
            if let [name, value] = &answer[..] {
                found.push((name.clone(), value.clone()));
            }
        }
        problem(&found).map_or(Ok(()), |problem| Err(QueueFault::Unsuitable(problem)))
    }

    async fn prepare(&self, partitions: u16) -> Result<(), QueueFault> {
        self.check().await?;
        agree(self, partitions).await
    }

    async fn enqueue(&self, partition: u16, id: Uuid, body: Bytes) -> Result<u64, QueueFault> {
        let mut connection = self.connection().await?;
        let mut script = self.enqueue.prepare_invoke();
        script.key(self.stream(partition)).key(self.counter(partition));
        script.key(format!("{}:{partition}:id:{}", self.prefix, id.simple()));
        script.arg(&body[..]).arg(self.limits.depth_max).arg(REPEAT_WINDOW.as_millis() as u64);
        match self.ask(script.invoke_async::<u64>(&mut connection)).await? {
            0 => {
                Err(QueueFault::Full(format!("partition {partition} holds {} messages already", self.limits.depth_max)))
            }
            place => Ok(place),
        }
    }

    async fn read(&self, partition: u16, after: u64, patience: Duration) -> Result<Vec<Message>, QueueFault> {
        let mut connection = self.of_its_own(partition).await?;
        let mut read = cmd("XREAD");
        // 0 would wait for ever.
        read.arg("COUNT").arg(READ_MAX).arg("BLOCK").arg(patience.as_millis().max(1) as u64);
        read.arg("STREAMS").arg(self.stream(partition)).arg(format!("{after}-{}", u64::MAX));
        let late = |_| QueueFault::Away("a read was not answered".to_owned());
        let read = timeout(patience + LATE_MAX, read.query_async::<Read>(&mut connection)).await.map_err(late)?;
        let read = read.map_err(away)?;
        // Only one that has answered everything is used again.
        self.waiting.lock().insert(partition, connection);
        let entries = read.unwrap_or_default().into_iter().flat_map(|(_, entries)| entries);
        let message = |(id, mut fields): (String, Vec<Vec<u8>>)| {
            let body = if fields.len() > 1 { fields.swap_remove(1) } else { vec![] };
            Message { sequence: place(&id), body: body.into() }
        };
        Ok(entries.map(message).collect())
    }

    async fn finish(&self, partition: u16, up_to: u64) -> Result<(), QueueFault> {
        let mut trim = cmd("XTRIM");
        trim.arg(self.stream(partition)).arg("MINID").arg("=").arg(format!("{}-0", up_to + 1));
        self.command::<u64>(&trim).await.map(drop)
    }

    async fn standing(&self, partition: u16) -> Result<Standing, QueueFault> {
        let mut connection = self.connection().await?;
        let mut script = self.standing.prepare_invoke();
        script.key(self.stream(partition)).key(self.counter(partition));
        let (last, first, time): (u64, String, String) = self.ask(script.invoke_async(&mut connection)).await?;
        Ok(match place(&first) {
            0 => Standing { enqueued: last, finished: last, oldest: None },
            first => {
                let oldest = time.parse().ok().map(Time::from_micros);
                Standing { enqueued: last, finished: first - 1, oldest }
            }
        })
    }

    async fn bury(&self, body: Bytes, reason: &str) -> Result<(), QueueFault> {
        let mut add = cmd("XADD");
        add.arg(format!("{}:dead", self.prefix)).arg("MAXLEN").arg("~").arg(BURIED_MAX);
        add.arg("*").arg("body").arg(&body[..]).arg("reason").arg(reason);
        self.command::<String>(&add).await.map(drop)
    }

    async fn table(&self) -> Result<(Option<Bytes>, u64), QueueFault> {
        let key = format!("{}:table", self.prefix);
        let (table, version): (Option<Vec<u8>>, Option<u64>) =
            self.command(cmd("HMGET").arg(key).arg("table").arg("version")).await?;
        Ok((table.map(Bytes::from), version.unwrap_or_default()))
    }

    async fn swap(&self, version: u64, table: Bytes) -> Result<bool, QueueFault> {
        let mut connection = self.connection().await?;
        let mut script = self.swap.prepare_invoke();
        script.key(format!("{}:table", self.prefix)).arg(version).arg(&table[..]);
        self.ask(script.invoke_async::<bool>(&mut connection)).await
    }
}
