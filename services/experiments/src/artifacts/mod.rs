//! Artifacts: bytes in the object store, and the facts about them in the log.
//!
//! The bytes come first and the event after them, so a crash in between leaves an object that nobody names and never an
//! artifact without its bytes. Each upload has an object of its own, named by an id: no path that a caller chose ever
//! names a file.

mod config;
mod grants;
mod grpc;
mod keep;
mod media_type;
mod parts;
mod projection;
mod query;
mod ranges;
mod read;
mod room;
mod signed;
mod streams;
mod sweep;
mod turns;

use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_objects::{ObjectStore, Signer};
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::quota::Rooms;
use cairn_service::{AsOfReads, Deps};
use tonic::service::Routes;

pub use self::config::Config;
pub use self::keep::Upload;
pub use self::media_type::media_type_of;
pub use self::parts::{PART_LIFETIME_MAX, Plan, Slot};
pub use self::query::{Child, Row, Usage};
pub use self::ranges::{Asked, Portion};
pub use self::read::Download;
pub(crate) use self::streams::{Sending, first, receive, send};
use self::turns::Turns;

/// Queries of the view that run at the same time.
const READERS: usize = 4;

/// Everything that is done with artifacts, whatever protocol asks. Cheap to clone.
#[derive(Clone)]
pub struct Artifacts {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Arc<dyn ObjectStore>,
    signer: Signer,
    commands: Commands,
    clock: Arc<dyn Clock>,
    model: ReadModel,
    view: View,
    past: AsOfReads,
    size_max: u64,
    turns: Turns,
    /// What is under way within the quotas of projects.
    rooms: Rooms,
    /// Where objects are, as people name it: `file:///srv/cairn/objects`.
    address: String,
}

/// Where artifacts are kept and how large they may be.
pub struct Storage {
    pub objects: Arc<dyn ObjectStore>,
    /// Knows the addresses and uploads of this deployment.
    pub signer: Signer,
    /// The store's URL, for people.
    pub address: String,
    pub size_max: u64,
}

impl Artifacts {
    /// Starts the view of artifacts, in a file of its own: uploads and metrics do not wait for each other's rows. Must be
    /// called on a tokio runtime.
    pub fn start(
        storage: Storage,
        store: Arc<dyn EventStore>,
        commands: Commands,
        views_folder: &Path,
        past: AsOfReads,
    ) -> Result<Self, QueryFault> {
        let model = ReadModel::open(&views_folder.join("artifacts.sqlite"), READERS)?;
        let view = View::start(store, &model, projection::Projection)?;
        let clock = commands.clock().clone();
        let Storage { objects, signer, address, size_max } = storage;
        let (turns, rooms) = (Turns::default(), Rooms::default());
        let inner = Inner { objects, signer, commands, clock, model, view, past, size_max, turns, rooms, address };
        let artifacts = Self { inner: Arc::new(inner) };
        sweep::sweep_regularly(&artifacts);
        Ok(artifacts)
    }

    /// What artifacts there were.
    pub fn past(deps: &Deps) -> Result<AsOfReads, QueryFault> {
        AsOfReads::start(deps, "artifacts.past.sqlite", projection::Projection)
    }

    /// The views that list artifacts, and what they were.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        std::iter::once(&self.inner.view).chain(self.inner.past.view())
    }

    /// Adds the services for artifacts and signed addresses.
    pub fn routes(&self, routes: Routes) -> Routes {
        routes.add_service(grpc::service(self.clone())).add_service(signed::service(self.clone()))
    }

    /// Whether large artifacts can go past this process, to and from the store itself.
    pub fn is_direct(&self) -> bool {
        self.inner.objects.is_direct()
    }
}
