//! What auth does by itself when something has happened.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{Filter, Message, Order, Stored, Subscription};
use cairn_kernel::{Aggregate, Expected, Metadata, Position};
use cairn_service::Writer;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::desk::{Desk, stream};
use crate::key_use::note_uses;
use crate::model::key::{Act, Command};
use crate::model::user::Change;
use crate::model::{Key, KeyName, User};

/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Starts what runs for as long as the desk is there.
pub fn start(desk: &Arc<Desk>) {
    tokio::spawn(forget_the_deleted(Arc::downgrade(desk)));
    tokio::spawn(note_first_use(Arc::downgrade(desk), desk.access.bootstrap_uses()));
    if let Some(uses) = desk.access.key_uses() {
        tokio::spawn(note_uses(Arc::downgrade(desk), uses));
    }
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

/// Puts on record that a key that lets the first administrator in has been used.
async fn note_first_use(desk: Weak<Desk>, mut uses: watch::Receiver<Option<String>>) {
    while uses.changed().await.is_ok() {
        let Some(name) = uses.borrow_and_update().clone() else { continue };
        loop {
            let Some(desk) = desk.upgrade() else { return };
            match note(&desk, KeyName::stored(name.as_str())).await {
                Ok(()) => break,
                Err(fault) => warn!(key = %name, %fault, "the first use of a bootstrap key is not on record yet"),
            }
            sleep(RETRY).await;
        }
    }
}

async fn note(desk: &Desk, key: KeyName) -> Result<(), String> {
    let order = Order { metadata: Metadata::of_service("auth"), request: None };
    let command = Command { key: key.clone(), act: Act::NoteUse };
    let stream = stream::<Key>(&key);
    let act = desk.commands.execute::<Key>(&order, &stream, Expected::Any, command);
    let done = Writer::Process(Process::KeyUse).run(act).await;
    done.map_err(|fault| fault.to_string())?;
    info!(%key, "the bootstrap key was used for the first time");
    Ok(())
}
