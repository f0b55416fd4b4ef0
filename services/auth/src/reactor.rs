//! What auth does by itself when something has happened.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_eventstore::{Filter, Message, Stored, Subscription};
use cairn_kernel::{Aggregate, Position};
use tokio::time::sleep;
use tracing::{error, warn};

use crate::desk::Desk;
use crate::model::User;
use crate::model::user::Change;

/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Starts what runs for as long as the desk is there.
pub fn start(desk: &Arc<Desk>) {
    tokio::spawn(forget_the_deleted(Arc::downgrade(desk)));
}

/// Erases what is known about users who were deleted.
///
/// Reads the users' history anew at each start, so that a crash between the event and the erasure leaves nobody
/// remembered. Forgetting twice is harmless.
async fn forget_the_deleted(desk: Weak<Desk>) {
    let Some(store) = desk.upgrade().map(|desk| Arc::clone(desk.commands.store())) else { return };
    let filter = Filter::categories([User::CATEGORY]);
    let mut subscription = Subscription::new(Arc::clone(&store), Position::START, filter.clone());
    let mut position = Position::START;
    loop {
        match subscription.next().await {
            Ok(Message::Events(events)) => {
                for recorded in events {
                    let Some(desk) = desk.upgrade() else { return };
                    match User::decode(&recorded.kind, &recorded.payload) {
                        Ok(event) if event.change == Change::Deleted => {
                            while let Err(fault) = desk.people.forget(event.user.to_string()).await {
                                error!(user = %event.user, %fault, "a deleted user is still remembered");
                                sleep(RETRY).await;
                            }
                        }
                        Ok(_) => {}
                        Err(fault) => error!(position = %recorded.position, %fault, "an event of a user does not read"),
                    }
                    position = recorded.position;
                }
            }
            Ok(Message::Checkpoint(at) | Message::CaughtUp(at)) => position = at,
            Err(fault) => {
                warn!(%fault, "deletions of users cannot be heard");
                sleep(RETRY).await;
                subscription = Subscription::new(Arc::clone(&store), position, filter.clone());
            }
        }
        if desk.strong_count() == 0 {
            return;
        }
    }
}
