//! Reading and following streams and the whole log.
//!
//! Everything is pulled by the connection: a slow reader reads on from what is stored, and holds up neither the writer nor
//! anybody else.

mod all;
mod asked;
mod filter;
mod follow_all;
mod follow_stream;
mod stream;
mod telling;

use std::pin::Pin;
use std::sync::Arc;

use cairn_contract::Contract;
use cairn_eventstore::EventStore;
use cairn_kernel::{Clock, Position};
use cairn_kurrent_protocol::streams::{ReadReq, ReadResp};
use cairn_service::Ctx;
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::asked::{Asked, What};
use self::telling::Telling;
use crate::kept::Keeping;
use crate::{Config, refusals};

/// Answers, until everything that was asked for is told or the client leaves.
pub type Answers = Pin<Box<dyn Stream<Item = Result<ReadResp, Status>> + Send>>;

/// Places for subscriptions of one connection: an extension of its requests.
#[derive(Clone)]
pub struct ConnectionSlots(pub Arc<Semaphore>);

/// Reads streams and the log.
#[derive(Clone)]
pub struct Reading {
    pub config: Arc<Config>,
    pub contract: &'static Contract,
    pub store: Arc<dyn EventStore>,
    pub keeping: Keeping,
    pub clock: Arc<dyn Clock>,
    /// Places for subscriptions of this process.
    pub slots: Arc<Semaphore>,
    pub closing: CancellationToken,
}

/// What a subscription takes up.
type Slot = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Reading {
    /// What is refused is refused before the first answer: clients look for it there.
    pub async fn read(&self, ctx: Ctx, request: ReadReq, slots: Option<ConnectionSlots>) -> Result<Answers, Status> {
        let asked = Asked::read(request, &self.config)?;
        let telling = Telling {
            contract: self.contract,
            store: Arc::clone(&self.store),
            form: asked.form,
            resolves_links: asked.resolves_links,
        };
        match (asked.what, asked.count) {
            (What::Stream { name, place, begin }, Some(count)) => {
                let range = stream::Range { begin, count, is_backwards: asked.is_backwards };
                stream::read(self, ctx, telling, (name, place), range, asked.tells_ends).await
            }
            (What::Stream { name, place, begin }, None) => {
                follow_stream::follow(self, ctx, telling, (name, place), begin, self.slot(slots)?).await
            }
            (What::All { begin, filter }, Some(count)) => {
                all::read(self, ctx, telling, stream::Range { begin, count, is_backwards: asked.is_backwards }, filter)
            }
            (What::All { begin, filter }, None) => {
                follow_all::follow(self, ctx, telling, begin, filter, self.slot(slots)?)
            }
        }
    }

    fn head(&self) -> Position {
        *self.store.head().borrow()
    }

    /// A place for one more subscription.
    fn slot(&self, connection: Option<ConnectionSlots>) -> Result<Slot, Status> {
        let taken = |slots: &Arc<Semaphore>, setting| {
            Arc::clone(slots).try_acquire_owned().map_err(|_| refusals::too_many_subscriptions(setting))
        };
        let of_connection = connection
            .map(|ConnectionSlots(slots)| taken(&slots, "eventstore.subscriptions_per_connection_max"))
            .transpose()?;
        Ok((taken(&self.slots, "eventstore.subscriptions_max")?, of_connection))
    }
}
