//! When keys were last used: noted coarsely, beside the keys themselves.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_access::KeyUse;
use cairn_contract::Contract;
use cairn_contract::cairn::auth::events::v1::ApiKeyUsed;
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{Commands, DecodeFault, Direction, NewEvent, Order, Retention, Write};
use cairn_kernel::{Expected, Metadata, Revision, StreamName};
use cairn_service::{Deps, Writer, timestamp};
use prost::{Message, Name};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};
use uuid::Uuid;

use crate::desk::stream;
use crate::model::key::{Act, Command};
use crate::model::{Key, KeyName};
use crate::stored::{read, time};

pub const CATEGORY: &str = "auth.key_use";

/// A use within so much time of the one on record is not noted. Access tells of fewer still; this holds over restarts.
const NOTED_EVERY: Duration = Duration::from_secs(3600);
/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Reads a stored event.
pub fn decode(payload: &[u8]) -> Result<KeyUse, DecodeFault> {
    let used: ApiKeyUsed = read(payload)?;
    Ok(KeyUse { key: used.key, time: time(used.use_time.unwrap_or_default()) })
}

/// Puts on record which keys are used, wherever they are shown: in every process that has a door. Ends when it is dropped.
#[must_use]
pub struct KeyUses(#[expect(dead_code, reason = "what is done here ends with it")] Arc<Commands>);

impl KeyUses {
    /// Begins, with what this process hears of keys. Of two that begin in one process the first is told of most uses.
    pub fn note(deps: &Deps) -> Self {
        let commands = Arc::new(deps.commands.clone());
        if let Some(uses) = deps.access.key_uses() {
            tokio::spawn(note_uses(Arc::downgrade(&commands), uses));
        }
        tokio::spawn(note_first_use(Arc::downgrade(&commands), deps.access.bootstrap_uses()));
        Self(commands)
    }
}

async fn note_uses(commands: Weak<Commands>, mut uses: mpsc::Receiver<KeyUse>) {
    while let Some(used) = uses.recv().await {
        let Some(commands) = commands.upgrade() else { return };
        let key = used.key.clone();
        if let Err(fault) = note_use(&commands, used).await {
            warn!(key, fault, "a use of a key is not on record");
        }
    }
}

async fn note_use(commands: &Commands, used: KeyUse) -> Result<(), String> {
    let (stream, store) = (StreamName::of(CATEGORY, &used.key), commands.store());
    let last = store.read(&stream, Revision(u64::MAX), Direction::Backwards, 1).await.map_err(|f| f.to_string())?;
    let last = last.first().map(|event| decode(&event.payload)).transpose().map_err(|fault| fault.to_string())?;
    if last.is_some_and(|last| used.time < last.time.after(NOTED_EVERY)) {
        return Ok(());
    }
    let event = ApiKeyUsed { key: used.key.clone(), use_time: Some(timestamp(used.time)) };
    let event = NewEvent {
        id: Uuid::new_v4(),
        kind: Cow::Owned(ApiKeyUsed::full_name()),
        payload: event.encode_to_vec().into(),
        metadata: Metadata::of_service("auth").encode().into(),
    };
    let write = Write::new(stream.clone(), Expected::Any, vec![event]);
    let appended = Writer::Process(Process::KeyUse).run(async { store.append(vec![write]).await }).await;
    appended.map_err(|fault| fault.to_string())?;
    // Each time: a stream that was begun before there was a limit gets it too.
    let retention = Retention { max_count: kept_max(), max_age: None };
    store.retain(&stream, retention).await.map_err(|fault| fault.to_string())
}

/// Puts on record that a key that lets the first administrator in has been used.
async fn note_first_use(commands: Weak<Commands>, mut uses: watch::Receiver<Option<String>>) {
    while uses.changed().await.is_ok() {
        let Some(name) = uses.borrow_and_update().clone() else { continue };
        loop {
            let Some(commands) = commands.upgrade() else { return };
            match note_first(&commands, KeyName::stored(name.as_str())).await {
                Ok(()) => break,
                Err(fault) => warn!(key = %name, %fault, "the first use of a bootstrap key is not on record yet"),
            }
            sleep(RETRY).await;
        }
    }
}

async fn note_first(commands: &Commands, key: KeyName) -> Result<(), String> {
    let order = Order { metadata: Metadata::of_service("auth"), request: None };
    let command = Command { key: key.clone(), act: Act::NoteUse };
    let stream = stream::<Key>(&key);
    let act = commands.execute::<Key>(&order, &stream, Expected::Any, command);
    let done = Writer::Process(Process::KeyUse).run(act).await;
    done.map_err(|fault| fault.to_string())?;
    info!(%key, "the bootstrap key was used for the first time");
    Ok(())
}

/// How many uses of a key are kept, as the contract says.
fn kept_max() -> Option<u64> {
    let contract = Contract::embedded().ok()?;
    contract.event(&ApiKeyUsed::full_name())?.kept_max
}
