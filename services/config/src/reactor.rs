//! What this service does by itself when something has happened.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_eventstore::{Filter, Message, Stored, Subscription};
use cairn_kernel::{Aggregate, Position, StreamName};
use tokio::time::sleep;
use tracing::{error, warn};

use crate::desk::Desk;
use crate::model::Secret;
use crate::model::secret::{Change, Event};

/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Starts what runs for as long as the desk is there.
pub fn start(desk: &Arc<Desk>) {
    tokio::spawn(forget_the_destroyed(Arc::downgrade(desk)));
}

/// Forgets the keys of versions that were destroyed.
///
/// A command does that itself, before its event. This reads the history of secrets anew at each start, because a table of
/// keys that was put back from a backup may hold keys that were destroyed since. Forgetting twice is harmless.
async fn forget_the_destroyed(desk: Weak<Desk>) {
    let Some(store) = desk.upgrade().map(|desk| Arc::clone(desk.commands.store())) else { return };
    let filter = Filter::categories([Secret::CATEGORY]);
    let mut subscription = Subscription::new(Arc::clone(&store), Position::START, filter.clone());
    let mut position = Position::START;
    loop {
        match subscription.next().await {
            Ok(Message::Events(events)) => {
                for recorded in events {
                    let Some(desk) = desk.upgrade() else { return };
                    match Secret::decode(&recorded.kind, &recorded.payload) {
                        Ok(event) => forget(&desk, &event).await,
                        Err(fault) => {
                            error!(position = %recorded.position, %fault, "an event of a secret does not read")
                        }
                    }
                    position = recorded.position;
                }
            }
            Ok(Message::Checkpoint(at) | Message::CaughtUp(at)) => position = at,
            Err(fault) => {
                warn!(%fault, "destructions of secrets cannot be heard");
                sleep(RETRY).await;
                subscription = Subscription::new(Arc::clone(&store), position, filter.clone());
            }
        }
        if desk.strong_count() == 0 {
            return;
        }
    }
}

async fn forget(desk: &Desk, Event { secret, change }: &Event) {
    let numbers: Vec<u32> = match change {
        Change::Destroyed(number, _) => vec![*number],
        Change::Deleted => {
            let stream = StreamName::of(Secret::CATEGORY, secret);
            match desk.commands.load::<Secret>(&stream).await {
                Ok(loaded) => loaded.state.destroyed().collect(),
                Err(fault) => return error!(%secret, %fault, "a deleted secret cannot be looked at"),
            }
        }
        _ => return,
    };
    for number in numbers {
        while let Err(fault) = desk.sealer.forget(&secret.subject(number)).await {
            error!(%secret, number, %fault, "the key of a destroyed version is still there");
            sleep(RETRY).await;
        }
    }
}
