use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::EventStore;
use cairn_kernel::{Clock, Position};
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_tlog::{Checkpoint, Hash, Note};
use metrics::gauge;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

use super::secrets::Secrets;
use super::signed::{Signed, SignedCheckpoints};
use super::tiles::{StoredTiles, TreeFault, size};
use super::witnesses::{Contradiction, Witnesses};

/// No more than one checkpoint in so much time, however fast the log grows.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the view may take to see an event before the signer looks again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was signed last.
#[derive(Clone, Debug, Default)]
pub enum State {
    /// Nothing yet: the process has just started, or the log is empty.
    #[default]
    Nothing,
    Signed(Arc<Signed>),
    /// The log is not what was signed before. Nothing is signed while it is not.
    Mismatch,
}

/// Signs size and root whenever the log has grown.
///
/// INVARIANT: signs only what contains everything that was signed before, and keeps it durably before it is seen.
pub struct Signer {
    pub secrets: Arc<Secrets>,
    pub signed: SignedCheckpoints,
    pub model: ReadModel,
    pub view: View,
    pub store: Arc<dyn EventStore>,
    pub clock: Arc<dyn Clock>,
    pub witnesses: Witnesses,
}

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
enum SignFault {
    #[error(transparent)]
    Query(#[from] QueryFault),
    #[error(transparent)]
    Tree(#[from] TreeFault),
    #[error("signed checkpoints cannot be read or written: {0}")]
    Signed(rusqlite::Error),
    #[error("{0}")]
    Mismatch(String),
}

/// What the tree is, and what it was at a size that was signed.
struct Found {
    size: u64,
    root: Hash,
    /// Its root at the signed size; `None` if it has never been so large.
    before: Option<Hash>,
}

impl Signer {
    /// Goes on until the view stops. Tells what was signed last.
    pub fn start(self) -> watch::Receiver<State> {
        let (state, told) = watch::channel(State::default());
        tokio::spawn(async move {
            let mut head = self.store.head();
            loop {
                let position = *head.borrow_and_update();
                if self.view.state().is_stopped {
                    return;
                }
                let is_done = self.look(position, &state).await;
                sleep(PERIOD).await;
                if is_done && head.changed().await.is_err() {
                    return;
                }
            }
        });
        told
    }

    /// Signs what there is up to a position. `false`: it could not, and must look again.
    async fn look(&self, position: Position, state: &watch::Sender<State>) -> bool {
        if let Err(behind) = self.view.reached(position, Instant::now() + PATIENCE).await {
            warn!(%behind, "nothing was signed");
            return false;
        }
        let is_mismatch = match self.vouched_for().await {
            Ok(None) => false,
            Ok(Some(signed)) => {
                state.send_replace(State::Signed(signed));
                false
            }
            Err(SignFault::Mismatch(why)) => {
                if !matches!(state.send_replace(State::Mismatch), State::Mismatch) {
                    error!(why, "THE LOG IS NOT WHAT WAS SIGNED BEFORE: nothing is signed over it");
                }
                true
            }
            Err(fault) => {
                warn!(%fault, "nothing was signed");
                return false;
            }
        };
        gauge!("cairn_ledger_tree_mismatch").set(if is_mismatch { 1.0 } else { 0.0 });
        true
    }

    /// The newest checkpoint with the signatures of witnesses that could be reached. They are asked before anybody sees
    /// it, so that a log that was rolled back is found out before it goes on in another way.
    async fn vouched_for(&self) -> Result<Option<Arc<Signed>>, SignFault> {
        let Some(signed) = self.sign().await? else { return Ok(None) };
        let note = self.witnesses.ask(&signed.note, signed.checkpoint.size).await;
        let note = note.map_err(|Contradiction(why)| SignFault::Mismatch(why))?;
        if note == signed.note {
            return Ok(Some(signed));
        }
        let (kept, cosigned) = (self.signed.clone(), Signed { note, ..Signed::clone(&signed) });
        let made = cosigned.clone();
        blocking(move || kept.cosigned(&made)).await.map_err(SignFault::Signed)?;
        Ok(Some(Arc::new(cosigned)))
    }

    /// The newest checkpoint, signed now if need be. `None`: the log is empty.
    async fn sign(&self) -> Result<Option<Arc<Signed>>, SignFault> {
        let signed = self.signed.clone();
        let last = blocking(move || signed.newest()).await.map_err(SignFault::Signed)?;
        let signed_size = last.as_ref().map(|last| last.checkpoint.size);
        let found = self.model.query(move |connection| Ok(find(connection, signed_size))).await??;
        if let Some(last) = last {
            hold_against(&last.checkpoint, &found, self.secrets.origin())?;
            if last.checkpoint.size == found.size {
                return Ok(Some(Arc::new(last)));
            }
        }
        if found.size == 0 {
            return Ok(None);
        }
        let time = self.clock.now();
        let checkpoint = Checkpoint { origin: self.secrets.origin().to_owned(), size: found.size, root: found.root };
        let text = checkpoint.to_string();
        // A log does not say when it signed; its witnesses do.
        let signatures = self.secrets.keys().iter().map(|key| key.sign(&text, 0)).collect();
        let made = Signed { checkpoint, note: Note { text, signatures }, time };
        let (signed, kept) = (self.signed.clone(), made.clone());
        blocking(move || signed.keep(&kept)).await.map_err(SignFault::Signed)?;
        Ok(Some(Arc::new(made)))
    }
}

fn find(connection: &rusqlite::Connection, signed: Option<u64>) -> Result<Found, TreeFault> {
    let size = size(connection)?;
    let tiles = StoredTiles(connection);
    let before = signed.filter(|signed| *signed <= size).map(|signed| tiles.root(signed)).transpose()?;
    Ok(Found { size, root: tiles.root(size)?, before })
}

fn hold_against(last: &Checkpoint, found: &Found, origin: &str) -> Result<(), SignFault> {
    if last.origin != origin {
        let why = format!("the checkpoints are of {}, the key file is of {origin}", last.origin);
        return Err(SignFault::Mismatch(why));
    }
    match found.before {
        None => {
            let why = format!("{} events were signed, and the log holds {}", last.size, found.size);
            Err(SignFault::Mismatch(why))
        }
        Some(root) if root != last.root => {
            let why = format!("the root over {} events was signed as {} and is {root}", last.size, last.root);
            Err(SignFault::Mismatch(why))
        }
        Some(_) => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(fault) => std::panic::resume_unwind(fault.into_panic()),
    }
}
