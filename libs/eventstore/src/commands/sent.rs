use cairn_kernel::Position;
use futures::FutureExt;
use futures::future::Shared;

use crate::{AppendFault, Appended, Appending};

/// An append on its way, which any number of commands wait for.
#[derive(Clone)]
pub(super) struct Sent(Shared<Appending>);

/// What became of the append a state rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is durable; the position reads it.
    Durable(Position),
    /// It failed, or was a repeat of an older one: the state built on it never was.
    Fell,
}

impl Sent {
    pub(super) fn new(appending: Appending) -> Self {
        Self(appending.shared())
    }

    pub(super) async fn outcome(&self) -> Result<Appended, AppendFault> {
        self.0.clone().await
    }

    /// Its fate, once known. Waits.
    pub(super) async fn settled(&self) -> Fate {
        Fate::of(&self.outcome().await)
    }

    /// Its fate, if known by now.
    pub(super) fn fate(&self) -> Option<Fate> {
        self.0.clone().now_or_never().map(|outcome| Fate::of(&outcome))
    }
}

impl Fate {
    fn of(outcome: &Result<Appended, AppendFault>) -> Self {
        match outcome {
            Ok(appended) if !appended.is_repeat => Self::Durable(appended.position),
            Ok(_) | Err(_) => Self::Fell,
        }
    }
}
