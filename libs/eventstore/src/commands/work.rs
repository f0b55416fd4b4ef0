use std::sync::Arc;

use cairn_kernel::{Expected, StreamName};
use parking_lot::Mutex;

use super::cache::{Entry, Key, Place, key};
use super::staged::{Staged, encode};
use super::{CommandFault, Commands, Loaded, Stored, check_etag};

/// A state that decisions rest on.
#[derive(Clone)]
pub(super) struct Footing {
    pub(super) key: Key,
    pub(super) place: Place,
}

/// Decisions staged for one atomic append.
pub struct Work {
    commands: Commands,
    pub(super) staged: Vec<Staged>,
    /// Shared with the transaction, which must know it even when the attempt ends in a fault.
    footings: Arc<Mutex<Vec<Footing>>>,
    is_repeat: bool,
}

impl Work {
    pub(super) fn new(commands: Commands, footings: Arc<Mutex<Vec<Footing>>>, is_repeat: bool) -> Self {
        Self { commands, staged: vec![], footings, is_repeat }
    }

    /// Whether this very request was carried out before, so that nothing is decided any more.
    pub fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// Loads `stream`, decides, and stages the events. Gives the state after them.
    ///
    /// When the whole request is a repeat nothing is decided: the states are those of now, and the caller builds the
    /// same answer from them.
    pub async fn decide<A: Stored>(
        &mut self,
        stream: &StreamName,
        expected: Expected,
        command: A::Command,
    ) -> Result<Arc<A>, CommandFault<A::Rejection>> {
        let (at, state) = self.stage::<A>(stream).await?;
        if self.is_repeat {
            return Ok(state);
        }
        check_etag(stream, expected, self.staged[at].base.revision)?;
        let events = state.decide(command).map_err(CommandFault::Rejected)?;
        if events.is_empty() {
            return Ok(state);
        }
        let mut after = A::clone(&state);
        events.iter().for_each(|event| after.evolve(event));
        let after = Arc::new(after);
        self.staged[at].push(Arc::clone(&after), encode::<A>(&events));
        Ok(after)
    }

    /// Loads `stream` and makes the append depend on its not having changed since.
    pub async fn witness<A: Stored>(&mut self, stream: &StreamName) -> Result<Loaded<A>, CommandFault<A::Rejection>> {
        let (at, state) = self.stage::<A>(stream).await?;
        Ok(Loaded { state, revision: self.staged[at].base.revision })
    }

    /// Where the stream is staged, and its state after what was decided so far.
    async fn stage<A: Stored>(&mut self, stream: &StreamName) -> Result<(usize, Arc<A>), CommandFault<A::Rejection>> {
        let key = key::<A>(stream);
        if let Some(at) = self.staged.iter().position(|staged| staged.key == key) {
            let state = Arc::clone(&self.staged[at].state).downcast().expect("the key names the type");
            return Ok((at, state));
        }
        let Entry { place, state } = match self.is_repeat {
            true => self.commands.settled::<A, _>(stream).await?,
            false => self.commands.newest::<A, _>(stream).await?,
        };
        self.footings.lock().push(Footing { key, place: place.clone() });
        self.staged.push(Staged::new(stream, Entry { place, state: Arc::clone(&state) }));
        Ok((self.staged.len() - 1, state))
    }
}
