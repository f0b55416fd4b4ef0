use std::sync::Arc;

use cairn_eventstore::{EventStore, Moment, moment};
use cairn_kernel::{AsOf, Clock, Code, Position, settings};
use cairn_projection::{Past, PastFault, Projection, QueryFault, ReadModel, View};
use tokio::time::Instant;

use crate::{Deps, Refusal};

/// Questions of the past of one view that run at the same time.
const READERS: usize = 2;

settings! {
    /// What is kept so that reads can say `as_of`.
    pub struct Config: "past" {
        /// Keep every state of what services list, in files of their own beside the read models. Without it, reads answer
        /// as of now only.
        enabled: bool = true;
    }
}

/// What one service's read model held at any moment. Cheap to clone.
#[derive(Clone)]
pub struct AsOfReads {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    /// `None`: it is switched off.
    past: Option<Past>,
}

/// A read model as it was.
#[derive(Clone)]
pub struct Then {
    pub model: ReadModel,
    pub moment: Moment,
    /// What has written the tables.
    pub view: View,
}

impl AsOfReads {
    /// Keeps the past of a projection in a file of the views' folder, if the process keeps any.
    pub fn start<P: Projection>(deps: &Deps, file: &str, projection: P) -> Result<Self, QueryFault> {
        let (store, path) = (Arc::clone(&deps.store), deps.views_folder.join(file));
        let past = deps.keeps_past.then(|| Past::start(store, &path, READERS, projection)).transpose()?;
        Ok(Self { past, ..Self::none(Arc::clone(&deps.store), Arc::clone(&deps.clock)) })
    }

    /// Keeps nothing.
    pub fn none(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, past: None }
    }

    /// The view that keeps it.
    pub fn view(&self) -> Option<&View> {
        self.past.as_ref().map(Past::view)
    }

    /// The read model as it was at a moment.
    pub async fn at(&self, as_of: AsOf, deadline: Instant) -> Result<Then, Refusal> {
        let past = self.past.as_ref().ok_or_else(off)?;
        let moment = moment_of(&*self.store, &*self.clock, as_of).await?;
        let model = past.at(moment.position, deadline).await.map_err(|fault| match fault {
            PastFault::Wait(fault) => fault.into(),
            PastFault::Ahead { head, .. } => ahead(as_of, head),
        })?;
        Ok(Then { model, moment, view: past.view().clone() })
    }
}

/// The moment that a reader names, if it has been: whatever answers as of a moment means the same by it.
pub async fn moment_of(store: &dyn EventStore, clock: &dyn Clock, as_of: AsOf) -> Result<Moment, Refusal> {
    let head = *store.head().borrow();
    match as_of {
        AsOf::Time(time) if time > clock.now() => Err(ahead(as_of, head)),
        _ => moment(store, as_of).await?.ok_or_else(|| ahead(as_of, head)),
    }
}

fn off() -> Refusal {
    let message =
        "no past is kept here: set `past.enabled`, and what is in the log can be read as it was at any moment";
    Refusal::new(Code::FailedPrecondition, "PAST_NOT_KEPT", message)
}

fn ahead(as_of: AsOf, head: Position) -> Refusal {
    let message = format!("as_of: {as_of} has not been yet: the log ends at position {head}");
    Refusal::new(Code::OutOfRange, "AS_OF_AHEAD", message).with("as_of", as_of)
}
