use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::{Context, Message as Delivered};
use cairn_ingest_queue::{Message, QueueFault};
use futures::{FutureExt, StreamExt};
use tokio::time::timeout;

use crate::queue::away;

/// Messages of one read.
const READ_MAX: usize = 256;
/// Messages that the server sends ahead.
const AHEAD_MAX: usize = 512;
/// How often the server says that it is there, and how long one request for messages lasts.
const HEARTBEAT: Duration = Duration::from_secs(1);
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// When the server forgets a reader that does not ask any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// A reader of a partition, and where it is.
pub(crate) struct Cursor {
    /// The place of the last message that it gave.
    after: u64,
    messages: pull::Stream,
    /// It has given nothing yet.
    is_fresh: bool,
}

impl Cursor {
    /// One that begins after a place.
    pub async fn open(context: &Context, stream: &str, after: u64) -> Result<Self, QueueFault> {
        let consumer = context
            .create_consumer_on_stream(
                pull::Config {
                    deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
                    ack_policy: AckPolicy::None,
                    inactive_threshold: FORGOTTEN_AFTER,
                    memory_storage: true,
                    num_replicas: 1,
                    ..Default::default()
                },
                stream,
            )
            .await
            .map_err(away)?;
        let messages = consumer.stream().max_messages_per_batch(AHEAD_MAX).heartbeat(HEARTBEAT).expires(REQUEST_MAX);
        Ok(Self { after, messages: messages.messages().await.map_err(away)?, is_fresh: true })
    }

    /// Whether it goes on after a place.
    pub fn is_after(&self, after: u64) -> bool {
        self.after == after
    }

    /// The next messages, as soon as there is one. `None`: some are missing between it and the last one, and it is of no use
    /// any more.
    pub async fn read(&mut self, patience: Duration) -> Result<Option<Vec<Message>>, QueueFault> {
        let mut next = match timeout(patience, self.messages.next()).await {
            Err(_) => return Ok(Some(vec![])),
            Ok(next) => next,
        };
        let mut read = vec![];
        loop {
            let delivered = match next {
                Some(Ok(delivered)) => delivered,
                Some(Err(fault)) if read.is_empty() => return Err(away(fault)),
                None if read.is_empty() => return Err(QueueFault::Away("it was closed".to_owned())),
                // What was read is good. The next read says what is wrong.
                _ => return Ok(Some(read)),
            };
            let message = message(delivered)?;
            // The server may have sent one to nobody. Before the first one there may be a gap: what was finished.
            let is_next = message.sequence == self.after + 1 || (self.is_fresh && message.sequence > self.after);
            if !is_next {
                return Ok(Some(read).filter(|read| !read.is_empty()));
            }
            self.is_fresh = false;
            self.after = message.sequence;
            read.push(message);
            if read.len() == READ_MAX {
                return Ok(Some(read));
            }
            match self.messages.next().now_or_never() {
                Some(more) => next = more,
                None => return Ok(Some(read)),
            }
        }
    }
}

fn message(delivered: Delivered) -> Result<Message, QueueFault> {
    let sequence = delivered.info().map_err(|fault| QueueFault::Away(fault.to_string()))?.stream_sequence;
    Ok(Message { sequence, body: delivered.message.payload })
}
