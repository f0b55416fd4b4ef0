//! When keys were last used: noted coarsely, beside the keys themselves.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_access::KeyUse;
use cairn_contract::Contract;
use cairn_contract::cairn::auth::events::v1::ApiKeyUsed;
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{DecodeFault, NewEvent, Retention, Write};
use cairn_kernel::{Expected, Metadata, StreamName};
use cairn_service::{Writer, timestamp};
use prost::{Message, Name};
use tokio::sync::mpsc;
use tracing::warn;
use uuid::Uuid;

use crate::desk::Desk;
use crate::stored::{read, time};

pub const CATEGORY: &str = "auth.key_use";

/// A use within so much time of the one on record is not noted. Access tells of fewer still; this holds over restarts.
const NOTED_EVERY: Duration = Duration::from_secs(3600);

/// Reads a stored event.
pub fn decode(payload: &[u8]) -> Result<KeyUse, DecodeFault> {
    let used: ApiKeyUsed = read(payload)?;
    Ok(KeyUse { key: used.key, time: time(used.use_time.unwrap_or_default()) })
}

/// Puts on record which keys are used, for as long as the desk is there.
pub async fn note_uses(desk: Weak<Desk>, mut uses: mpsc::Receiver<KeyUse>) {
    while let Some(used) = uses.recv().await {
        let Some(desk) = desk.upgrade() else { return };
        let key = used.key.clone();
        if let Err(fault) = note(&desk, used).await {
            warn!(key, fault, "a use of a key is not on record");
        }
    }
}

async fn note(desk: &Arc<Desk>, used: KeyUse) -> Result<(), String> {
    let shown = desk.query.key(&used.key, used.time).await.map_err(|fault| fault.to_string())?;
    let last = shown.and_then(|key| key.last_use_time).map(time);
    if last.is_some_and(|last| used.time < last.after(NOTED_EVERY)) {
        return Ok(());
    }
    let event = ApiKeyUsed { key: used.key.clone(), use_time: Some(timestamp(used.time)) };
    let event = NewEvent {
        id: Uuid::new_v4(),
        kind: Cow::Owned(ApiKeyUsed::full_name()),
        payload: event.encode_to_vec().into(),
        metadata: Metadata::of_service("auth").encode().into(),
    };
    let (stream, store) = (StreamName::of(CATEGORY, &used.key), desk.commands.store());
    let write = Write::new(stream.clone(), Expected::Any, vec![event]);
    let appended = Writer::Process(Process::KeyUse).run(async { store.append(vec![write]).await }).await;
    appended.map_err(|fault| fault.to_string())?;
    // Each time: a stream that was begun before there was a limit gets it too.
    let retention = Retention { max_count: kept_max(), max_age: None };
    store.retain(&stream, retention).await.map_err(|fault| fault.to_string())
}

/// How many uses of a key are kept, as the contract says.
fn kept_max() -> Option<u64> {
    let contract = Contract::embedded().ok()?;
    contract.event(&ApiKeyUsed::full_name())?.kept_max
}
