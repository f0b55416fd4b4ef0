use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_kernel::Time;
use uuid::Uuid;

use crate::QueueFault;

/// How much a queue takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages of one partition that wait at the same time.
    pub depth_max: u64,
    /// Bytes of one message.
    pub message_bytes_max: usize,
    /// How long one answer of the engine may take.
    pub patience: Duration,
}

/// What was put into a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place in its partition. Grows; may have gaps.
    pub sequence: u64,
    pub body: Bytes,
}

/// How far a partition has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The last message that was put into it; 0: none ever was.
    pub enqueued: u64,
    /// All messages up to here were finished.
    pub finished: u64,
    /// When the first message came that is not finished.
    pub oldest: Option<Time>,
}

impl Standing {
    /// Messages that wait.
    pub fn depth(&self) -> u64 {
        self.enqueued.saturating_sub(self.finished)
    }
}

/// Messages in partitions, each in the order in which they came.
///
/// INVARIANT: a message whose [`enqueue`](Self::enqueue) has succeeded survives the sudden end of the engine and of its machine,
/// and is read until it is finished. [`check`](Self::check) makes sure that the engine is set up so that this holds.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// What it is: `NATS JetStream`.
    fn kind(&self) -> &'static str;

    /// What it is, who one is there, and where, for those who operate it: without a password.
    fn place(&self) -> String;

    /// Whether the engine keeps what it has acknowledged.
    async fn check(&self) -> Result<(), QueueFault>;

    /// Makes what so many partitions need, if that is not there.
    async fn prepare(&self, partitions: u16) -> Result<(), QueueFault>;

    /// Puts a message into a partition, durably, and says where. The same `id` within two minutes is the same message, and is
    /// put there once.
    async fn enqueue(&self, partition: u16, id: Uuid, body: Bytes) -> Result<u64, QueueFault>;

    /// The next messages of a partition after a place, in order: some of them, as soon as there is one; none if none comes
    /// within `patience`.
    async fn read(&self, partition: u16, after: u64, patience: Duration) -> Result<Vec<Message>, QueueFault>;

    /// Marks everything of a partition up to a place as finished: it is not read again. Never takes anything back.
    async fn finish(&self, partition: u16, up_to: u64) -> Result<(), QueueFault>;

    /// How far a partition has come.
    async fn standing(&self, partition: u16) -> Result<Standing, QueueFault>;

    /// Puts away a message that can never be carried on, with the reason, for those who operate this. The newest ten thousand
    /// are kept.
    async fn bury(&self, body: Bytes, reason: &str) -> Result<(), QueueFault>;

    /// The table of members and its version; none was written yet: version 0.
    async fn table(&self) -> Result<(Option<Bytes>, u64), QueueFault>;

    /// Writes the table anew if its version is still this one, and says whether it was.
    async fn swap(&self, version: u64, table: Bytes) -> Result<bool, QueueFault>;
}

/// How many messages that were put away an adapter keeps.
pub const BURIED_MAX: u32 = 10_000;
/// How long an adapter knows a message by its id.
pub const REPEAT_WINDOW: Duration = Duration::from_secs(120);
