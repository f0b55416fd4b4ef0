//! Delivers what is written down: of each hook and model one after the other, and again until it is taken or given up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use cairn_contract::cairn::registry::events::v1::HookSpec;
use cairn_kernel::Time;
use prost::Message;
use tokio::task::{Id, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Tools;
use super::book::{Ending, Letter};
use crate::stored::hook;

/// How long to wait before something that failed here is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Longest sleep: what is due is found by the clock, which may be set.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Longest part of a fault that is kept, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// A hook and a model.
type Lane = (String, String);

/// Which letters are on their way.
#[derive(Default)]
struct Under {
    /// By hook and model, each with the task that has it: no lane has two.
    lanes: HashMap<Lane, Id>,
    by_hook: HashMap<String, u64>,
}

/// Goes on until it is stopped. What is on its way then is broken off, and sent again by whoever reads the book next.
pub(super) async fn run(tools: Arc<Tools>, stop: CancellationToken) {
    let (mut sent, mut under) = (JoinSet::new(), Under::default());
    loop {
        let pause = send(&tools, &mut sent, &mut under).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tools.changed.notified() => {}
            () = sleep(pause) => {}
            Some(ended) = sent.join_next_with_id(), if !sent.is_empty() => match ended {
                Ok((task, ())) => under.landed(task),
                Err(fault) => {
                    error!(%fault, "a delivery broke off");
                    under.landed(fault.id());
                }
            }
        }
    }
}

/// Sends what is due, as far as there is room. Gives how long nothing more will be.
async fn send(tools: &Arc<Tools>, sent: &mut JoinSet<()>, under: &mut Under) -> Duration {
    let letters = match tools.book.first_of_lanes().await {
        Ok(letters) => letters,
        Err(fault) => {
            error!(%fault, "what is to be delivered cannot be read");
            return RETRY;
        }
    };
    let now = tools.clock.now();
    let mut pause = SLEEP_MAX;
    for letter in letters {
        let lane = (letter.hook.clone(), letter.model.clone());
        if under.lanes.contains_key(&lane) {
            continue;
        }
        if letter.due > now {
            pause = pause.min(letter.due.since(now));
            continue;
        }
        let config = &tools.config;
        let of_hook = under.by_hook.get(&letter.hook).copied().unwrap_or_default();
        if under.lanes.len() as u64 >= config.in_flight_max || of_hook >= config.in_flight_per_hook_max {
            continue;
        }
        let tools = Arc::clone(tools);
        let task = sent.spawn(async move { deliver(&tools, letter).await });
        under.started(lane, task.id());
    }
    pause
}

impl Under {
    fn started(&mut self, lane: Lane, task: Id) {
        *self.by_hook.entry(lane.0.clone()).or_default() += 1;
        self.lanes.insert(lane, task);
    }

    fn landed(&mut self, task: Id) {
        let Some(lane) = self.lanes.iter().find(|(_, id)| **id == task).map(|(lane, _)| lane.clone()) else { return };
        self.lanes.remove(&lane);
        if let Some(count) = self.by_hook.get_mut(&lane.0) {
            *count -= 1;
            if *count == 0 {
                self.by_hook.remove(&lane.0);
            }
        }
    }
}

/// Tries once, and writes down how it went.
///
/// What the receiver took and the book does not know of, because the process ended in between, is sent again with the
/// same id: that is what the id is for.
async fn deliver(tools: &Tools, letter: Letter) {
    let ending = tried(tools, &letter).await;
    while let Err(fault) = tools.book.tried(&letter, ending.clone(), tools.clock.now()).await {
        error!(%fault, delivery = %letter.id, "how a delivery went is not written down yet");
        sleep(RETRY).await;
    }
}

async fn tried(tools: &Tools, letter: &Letter) -> Ending {
    let (status, error) = match answered(tools, letter).await {
        Ok(status) if (200..300).contains(&status) => return Ending::Taken { status },
        Ok(status) => (status, format!("it answered with status {status}")),
        Err(problem) => (0, problem),
    };
    let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
    let attempts = letter.attempts + 1;
    if u64::from(attempts) >= tools.config.attempts_max {
        warn!(hook = %letter.hook, delivery = %letter.id, attempts, %error, "gave up a delivery");
        return Ending::GivenUp { status, error };
    }
    Ending::Again { status, error, due: due(tools, letter, attempts) }
}

async fn answered(tools: &Tools, letter: &Letter) -> Result<u16, String> {
    let spec = HookSpec::decode(letter.spec.as_slice()).map_err(|fault| fault.to_string())?;
    let definition = hook::decode(spec);
    let hook = letter.hook.parse().map_err(|fault: cairn_kernel::NameFault| fault.to_string())?;
    let webhook = definition.webhook().ok_or("it is no longer a webhook")?;
    let body = letter.body.clone();
    let answer = tools.send(&hook, webhook, letter.format, &letter.id, body, webhook.deadline).await?;
    Ok(answer.status)
}

/// When it is tried again: each wait is twice the one before, and shorter by up to half, so that what failed together is
/// not tried together. By how much, the delivery's own name says: nobody needs to roll dice.
fn due(tools: &Tools, letter: &Letter, attempts: u32) -> Time {
    let config = &tools.config;
    let doubled = 1_u64.checked_shl(attempts - 1).and_then(|times| config.backoff_ms.checked_mul(times));
    let wait = doubled.unwrap_or(u64::MAX).min(config.backoff_ms_max);
    let dice = digest::digest(&digest::SHA256, format!("{}/{attempts}", letter.id).as_bytes());
    let share = u64::from(dice.as_ref()[0]);
    let shorter = wait / 2 * share / 256;
    tools.clock.now().after(Duration::from_millis(wait - shorter))
}
