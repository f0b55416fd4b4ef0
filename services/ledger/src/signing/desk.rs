use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_contract::cairn::ledger::v1::SigningChange;
use cairn_eventstore::{CommandFault, Commands, DecodeFault, Direction, Done, Order, ReadFault};
use cairn_kernel::{Aggregate, Clock, Expected, Name, Position, Revision, StreamName, Time};
use cairn_projection::{QueryFault, ReadModel};
use tokio::sync::{Mutex, MutexGuard, watch};
use tracing::warn;

use super::{Announced, Command, Ended, Opened, Rejection, Rotated, told};
use crate::blocking::blocking;
use crate::tree::{Prepared, Secrets, SecretsFault, Signed, SignedCheckpoints, State, TreeFault, kept_size};

/// Changes read at once.
const PAGE_EVENTS: usize = 256;

/// Changes what the log is signed with.
///
/// INVARIANT: nothing is signed with a key that no event tells of. The key is prepared in the key file, told in an event,
/// and adopted then; whoever comes after a crash adopts what was told.
pub struct Desk {
    pub secrets: Arc<Secrets>,
    pub signed: SignedCheckpoints,
    pub model: ReadModel,
    pub commands: Commands,
    pub clock: Arc<dyn Clock>,
    /// What was signed last.
    pub state: watch::Sender<State>,
    /// And for whom.
    pub organizations: watch::Sender<BTreeMap<Name, State>>,
    /// Held by whoever signs, and by whoever changes what is signed with.
    turn: Mutex<()>,
}

/// Why it could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum DeskFault {
    #[error(transparent)]
    Command(#[from] CommandFault<Rejection>),
    #[error(transparent)]
    Secrets(#[from] SecretsFault),
    #[error(transparent)]
    Query(#[from] QueryFault),
    #[error(transparent)]
    Tree(#[from] TreeFault),
    #[error(transparent)]
    Read(#[from] ReadFault),
    #[error(transparent)]
    Decode(#[from] DecodeFault),
    #[error("signed checkpoints cannot be read: {0}")]
    Signed(#[from] rusqlite::Error),
}

impl Desk {
    pub fn new(
        secrets: Arc<Secrets>,
        signed: SignedCheckpoints,
        model: ReadModel,
        commands: Commands,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (state, organizations) = Default::default();
        Self { secrets, signed, model, commands, clock, state, organizations, turn: Mutex::default() }
    }

    /// Waits for its turn to sign. While it cannot be known what became of a prepared key, those of before sign on.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock().await;
        if let Err(fault) = self.settle().await {
            warn!(%fault, "the keys that sign the log stay as they are");
        }
        turn
    }

    /// Adopts what was told before a crash, and destroys keys whose time is over.
    async fn settle(&self) -> Result<(), DeskFault> {
        let (secrets, now) = (Arc::clone(&self.secrets), self.clock.now());
        blocking(move || secrets.destroy_retired(now)).await?;
        let Some(prepared) = self.secrets.prepared() else { return Ok(()) };
        let announced = self.commands.load::<Announced>(&stream()).await?.state;
        match announced.key(&prepared.key.to_string()) {
            Some(older_until) => self.adopt(prepared, older_until).await,
            None => Ok(()),
        }
    }

    /// Makes another key. Gives where its event stands.
    pub async fn rotate(&self, order: &Order, overlap: Duration) -> Result<Position, DeskFault> {
        let _turn = self.turn.lock().await;
        self.settle().await?;
        let now = self.clock.now();
        let older_until = now.after(overlap);
        let signing = if overlap.is_zero() { 0 } else { self.secrets.signing(now).keys.len() };
        let secrets = Arc::clone(&self.secrets);
        let prepared = blocking(move || secrets.prepare_key()).await?;
        let rotated = Rotated { origin: prepared.origin.clone(), key: prepared.key.to_string(), older_until };
        self.announce(order, prepared, Command::Rotate { rotated, signing }).await
    }

    /// Ends the epoch of this name, and begins another. Gives where its event stands.
    pub async fn open_epoch(&self, order: &Order, ended_origin: &str, reason: &str) -> Result<Position, DeskFault> {
        let _turn = self.turn.lock().await;
        self.settle().await?;
        let current = self.secrets.signing(self.clock.now()).origin;
        let before = current.clone();
        let ended = Ended { origin: ended_origin.to_owned(), ..self.ended(&current).await? };
        let secrets = Arc::clone(&self.secrets);
        let prepared = blocking(move || secrets.prepare_epoch()).await?;
        let opened = Opened {
            epoch: prepared.epoch,
            origin: prepared.origin.clone(),
            key: prepared.key.to_string(),
            reason: reason.to_owned(),
            ended,
        };
        let position = self.announce(order, prepared, Command::Open { opened: Box::new(opened), current }).await?;
        if self.secrets.signing(self.clock.now()).origin != before {
            // Whoever asks now waits for the first checkpoint of the new epoch.
            self.state.send_replace(State::Nothing);
            self.organizations.send_replace(BTreeMap::new());
        }
        Ok(position)
    }

    /// What has changed so far, oldest first.
    pub async fn changes(&self) -> Result<Vec<SigningChange>, DeskFault> {
        let (mut changes, mut from) = (vec![], Revision::default());
        loop {
            let page = self.commands.store().read(&stream(), from, Direction::Forwards, PAGE_EVENTS).await?;
            for event in &page {
                changes.push(told(event)?);
                from = event.revision.next();
            }
            if page.len() < PAGE_EVENTS {
                return Ok(changes);
            }
        }
    }

    /// Tells of a prepared key in an event, and adopts it if that was done. A repeat of a request was told of another key,
    /// which signs long since: then this one is never used.
    async fn announce(&self, order: &Order, prepared: Prepared, command: Command) -> Result<Position, DeskFault> {
        let done: Done<Announced> = self.commands.execute(order, &stream(), Expected::Any, command).await?;
        if let Some(older_until) = done.state.key(&prepared.key.to_string()) {
            self.adopt(prepared, older_until).await?;
        }
        Ok(done.position)
    }

    async fn adopt(&self, prepared: Prepared, older_until: Option<Time>) -> Result<(), DeskFault> {
        let (secrets, now) = (Arc::clone(&self.secrets), self.clock.now());
        blocking(move || secrets.adopt(&prepared, older_until, now)).await?;
        Ok(())
    }

    /// How the log stands to what was signed under a name.
    async fn ended(&self, origin: &str) -> Result<Ended, DeskFault> {
        let (signed, name) = (self.signed.clone(), origin.to_owned());
        let (last, roots) =
            blocking(move || Ok::<_, rusqlite::Error>((signed.newest(&name)?, signed.roots(&name)?))).await?;
        let found = self.model.query(move |connection| Ok(kept_size(connection, &roots))).await??;
        let signed_size = last.as_ref().map_or(0, |last: &Signed| last.checkpoint.size);
        Ok(Ended {
            origin: origin.to_owned(),
            checkpoint: last.map(|last| last.note.to_string()).unwrap_or_default(),
            signed_size,
            kept_size: found.kept,
            found_size: found.size,
        })
    }
}

fn stream() -> StreamName {
    StreamName::of(Announced::CATEGORY, "log")
}
