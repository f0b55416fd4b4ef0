use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::EventStore;
use cairn_kernel::Position;
use cairn_projection::{QueryFault, View};
use cairn_tlog::{Checkpoint, Hash, Note};
use metrics::gauge;
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

use super::entries::size;
use super::organizations::{Of, Whose, organizations};
use super::places::Places;
use super::signed::Signed;
use super::tiles::{StoredTiles, TreeFault};
use super::witnesses::{Contradiction, Witnesses};
use crate::blocking::blocking;
use crate::signing::Desk;

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
    /// The log is not what was signed before, and this was found. Nothing is signed while it is not.
    Mismatch(Arc<str>),
}

/// Signs size and root whenever the log has grown.
///
/// INVARIANT: signs only what contains everything that was signed before, and keeps it durably before it is seen.
pub struct Signer {
    pub desk: Arc<Desk>,
    pub view: View,
    pub store: Arc<dyn EventStore>,
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
    /// Goes on until the view stops. Tells at the desk what was signed last.
    pub fn start(self) {
        tokio::spawn(async move {
            let mut head = self.store.head();
            loop {
                let position = *head.borrow_and_update();
                if self.view.state().is_stopped {
                    return;
                }
                let is_done = self.look(position).await;
                sleep(PERIOD).await;
                if is_done && head.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Signs what there is up to a position. `false`: it could not, and must look again.
    async fn look(&self, position: Position) -> bool {
        let state = &self.desk.state;
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
                if !matches!(state.send_replace(State::Mismatch(why.as_str().into())), State::Mismatch(_)) {
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
        if is_mismatch {
            return true;
        }
        let signed = {
            let _turn = self.desk.turn().await;
            self.sign_organizations().await
        };
        signed.inspect_err(|fault| warn!(%fault, "the logs of organizations were not signed")).is_ok()
    }

    /// The newest checkpoint with the signatures of witnesses that could be reached. They are asked before anybody sees
    /// it, so that a log that was rolled back is found out before it goes on in another way.
    async fn vouched_for(&self) -> Result<Option<Arc<Signed>>, SignFault> {
        let _turn = self.desk.turn().await;
        let Some(signed) = self.sign().await? else { return Ok(None) };
        let note = self.witnesses.ask(&signed.note, signed.checkpoint.size).await;
        let note = note.map_err(|Contradiction(why)| SignFault::Mismatch(why))?;
        if note == signed.note {
            return Ok(Some(signed));
        }
        let (kept, cosigned) = (self.desk.signed.clone(), Signed { note, ..Signed::clone(&signed) });
        let made = cosigned.clone();
        blocking(move || kept.cosigned(&made)).await.map_err(SignFault::Signed)?;
        Ok(Some(Arc::new(cosigned)))
    }

    /// The newest checkpoint, signed now if need be. `None`: the log is empty.
    async fn sign(&self) -> Result<Option<Arc<Signed>>, SignFault> {
        let log = self.desk.secrets.log();
        let signed = self.desk.signed.clone();
        let origins = blocking(move || signed.origins()).await.map_err(SignFault::Signed)?;
        if let Some(foreign) = origins.iter().find(|origin| !is_of(&log, origin)) {
            return Err(SignFault::Mismatch(format!("the checkpoints are of {foreign}, the key file is of {log}")));
        }
        self.sign_one(&Whose::Everybodys).await
    }

    /// Signs the trees of organizations that have grown, each for itself: if one is not what it was, the others go on.
    async fn sign_organizations(&self) -> Result<(), SignFault> {
        let grown = self.desk.model.query(organizations).await?;
        let epoch = self.desk.secrets.signing(self.desk.clock.now()).origin;
        for (name, size) in grown {
            let whose = Whose::Organization(name.clone());
            let is_signed = |state: &State| {
                matches!(state, State::Signed(signed)
                if signed.checkpoint.size == size && signed.checkpoint.origin == whose.origin(&epoch))
            };
            if self.desk.organizations.borrow().get(&name).is_some_and(is_signed) {
                continue;
            }
            let state = match self.sign_one(&whose).await {
                Ok(Some(signed)) => State::Signed(signed),
                Ok(None) => State::Nothing,
                Err(SignFault::Mismatch(why)) => {
                    error!(organization = %name, why, "THE LOG OF AN ORGANIZATION IS NOT WHAT WAS SIGNED BEFORE");
                    State::Mismatch(why.as_str().into())
                }
                Err(fault) => return Err(fault),
            };
            self.desk.organizations.send_modify(|states| drop(states.insert(name, state)));
        }
        Ok(())
    }

    /// The newest checkpoint of one tree, signed now if it has grown. `None`: it is empty.
    async fn sign_one(&self, whose: &Whose) -> Result<Option<Arc<Signed>>, SignFault> {
        let time = self.desk.clock.now();
        let signing = self.desk.secrets.signing(time);
        let origin = whose.origin(&signing.origin);
        let (signed, name) = (self.desk.signed.clone(), origin.clone());
        let last = blocking(move || signed.newest(&name)).await.map_err(SignFault::Signed)?;
        let (signed_size, asked) = (last.as_ref().map(|last| last.checkpoint.size), whose.clone());
        let look = move |connection: &rusqlite::Connection| {
            Ok(asked.find(connection)?.map(|of| find(connection, of, signed_size)).transpose())
        };
        let found = self.desk.model.query(look).await??.unwrap_or_else(Found::nothing);
        if let Some(last) = last {
            hold_against(&last.checkpoint, &found)?;
            if last.checkpoint.size == found.size {
                return Ok(Some(Arc::new(last)));
            }
        }
        if found.size == 0 {
            return Ok(None);
        }
        let checkpoint = Checkpoint { origin, size: found.size, root: found.root };
        let text = checkpoint.to_string();
        // A log does not say when it signed; its witnesses do.
        let signatures = signing.keys_for(whose).iter().map(|key| key.sign(&text, 0)).collect();
        let made = Signed { checkpoint, note: Note { text, signatures }, time };
        let (signed, kept) = (self.desk.signed.clone(), made.clone());
        blocking(move || signed.keep(&kept)).await.map_err(SignFault::Signed)?;
        Ok(Some(Arc::new(made)))
    }
}

impl Found {
    fn nothing() -> Self {
        Self { size: 0, root: Hash::empty(), before: None }
    }
}

/// Whether a name is that of an epoch of this log.
fn is_of(log: &str, origin: &str) -> bool {
    origin.strip_prefix(log).is_some_and(|epoch| epoch.is_empty() || epoch.starts_with('/'))
}

fn find(connection: &rusqlite::Connection, of: Of, signed: Option<u64>) -> Result<Found, TreeFault> {
    let size = match of {
        Of::LOG => size(connection)?,
        _ => Places::new(connection, of).size()?,
    };
    let tiles = StoredTiles::new(connection, of);
    let before = signed.filter(|signed| *signed <= size).map(|signed| tiles.root(signed)).transpose()?;
    Ok(Found { size, root: tiles.root(size)?, before })
}

/// How much of what was signed a log still is.
pub struct Kept {
    /// Its size.
    pub size: u64,
    /// The largest signed size up to which it is what was signed.
    pub kept: u64,
}

/// Holds the log against sizes and roots that were signed, the smallest first. What is not there as it was signed is not
/// there under any larger size either.
pub fn kept_size(connection: &rusqlite::Connection, signed: &[(u64, Hash)]) -> Result<Kept, TreeFault> {
    let size = size(connection)?;
    let tiles = StoredTiles::new(connection, Of::LOG);
    let (mut kept, mut lost) = (0, signed.len());
    while kept < lost {
        let middle = usize::midpoint(kept, lost);
        let (signed_size, root) = signed[middle];
        match signed_size <= size && tiles.root(signed_size)? == root {
            true => kept = middle + 1,
            false => lost = middle,
        }
    }
    Ok(Kept { size, kept: kept.checked_sub(1).map_or(0, |last| signed[last].0) })
}

fn hold_against(last: &Checkpoint, found: &Found) -> Result<(), SignFault> {
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
