//! The keys that tokens are signed with take each other's places when they are due, and the log says so.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_access::RotationFault;
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{CommandFault, Order, Work};
use cairn_kernel::{Expected, Metadata, Position, Time};
use cairn_service::Writer;
use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::desk::{Desk, stream};
use crate::model::signing_keys::{Command, Event};
use crate::model::{REASON_CHARS_MAX, Rejection, SigningKeys, Text};

/// How often it is looked at whether the keys are due.
const LOOK: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Lets the keys take each other's places for as long as the desk is there.
pub fn start(desk: &Arc<Desk>) {
    tokio::spawn(look(Arc::downgrade(desk)));
}

async fn look(desk: Weak<Desk>) {
    loop {
        {
            let Some(desk) = desk.upgrade() else { return };
            look_once(&desk).await;
        }
        sleep(LOOK).await;
    }
}

async fn look_once(desk: &Desk) {
    let looked = Writer::Process(Process::SigningKeys).run(rotate_if_due(desk)).await;
    if let Err(fault) = looked {
        warn!(fault, "the signing keys could not take each other's places");
    }
}

async fn rotate_if_due(desk: &Desk) -> Result<(), String> {
    desk.access.begin_signing_keys().map_err(|fault| fault.to_string())?;
    let keys = desk.access.signing_keys();
    let order = Order { metadata: Metadata::of_service("auth"), request: None };
    if is_due(keys.since, desk.now(), desk.login.signing_key_days) {
        match desk.access.rotate_signing_keys(false) {
            Ok(_) => info!("the next key signs tokens from now on"),
            Err(RotationFault::Fresh(_)) => return Ok(()),
            Err(fault) => return Err(fault.to_string()),
        }
    } else if !keys.have_moved {
        return Ok(());
    }
    // Also when nothing was due: the file may have been written and the log not.
    tell(desk, &order).await.map_err(|fault| fault.to_string())
}

fn is_due(since: Option<Time>, now: Time, days: u64) -> bool {
    let life = DAY * u32::try_from(days).unwrap_or(u32::MAX);
    days > 0 && since.is_some_and(|since| since.after(life) <= now)
}

/// Says in the log which keys are in which place, unless it says so already.
async fn tell(desk: &Desk, order: &Order) -> Result<(), CommandFault<Rejection>> {
    let stream = stream::<SigningKeys>(&SigningKeys::STREAM_ID);
    let command = said(desk, Text::default());
    desk.commands.execute::<SigningKeys>(order, &stream, Expected::Any, command).await.map(drop)
}

/// Why the keys did not take each other's places, or the log does not say so.
#[derive(Debug, thiserror::Error)]
pub enum RotateFault {
    #[error(transparent)]
    Rotation(#[from] RotationFault),
    #[error(transparent)]
    Command(#[from] CommandFault<Rejection>),
}

/// Lets the keys take each other's places because somebody asks for it. A repeat of the request moves them once.
pub async fn rotate(
    desk: &Desk,
    order: &Order,
    is_compromised: bool,
    reason: Text<REASON_CHARS_MAX>,
) -> Result<Position, RotateFault> {
    let moved = Mutex::new(None);
    let attempt = |mut work: Work| {
        let reason = reason.clone();
        if !work.is_repeat() {
            let mut moved = moved.lock();
            if moved.is_none() {
                *moved = Some(desk.access.rotate_signing_keys(is_compromised));
            }
        }
        let is_moved = !matches!(*moved.lock(), Some(Err(_)));
        async move {
            if is_moved {
                let stream = stream::<SigningKeys>(&SigningKeys::STREAM_ID);
                work.decide::<SigningKeys>(&stream, Expected::Any, said(desk, reason)).await?;
            }
            Ok(((), work))
        }
    };
    let ((), at) = desk.commands.transact(order, attempt).await?;
    match moved.into_inner() {
        Some(Err(fault)) => Err(fault.into()),
        _ => Ok(at),
    }
}

/// Which keys are in which place.
fn said(desk: &Desk, reason: Text<REASON_CHARS_MAX>) -> Command {
    let keys = desk.access.signing_keys();
    let previous = keys.previous.unwrap_or_default();
    Command(Event { current: keys.current, next: keys.next, previous, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_due_after_their_days_and_never_when_that_is_switched_off() {
        let then = Time::from_millis(1_800_000_000_000);
        assert!(!is_due(Some(then), then.after(DAY * 29), 30));
        assert!(is_due(Some(then), then.after(DAY * 30), 30));
        assert!(!is_due(Some(then), then.after(DAY * 300), 0));
    }
}
