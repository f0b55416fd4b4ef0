//! Functions: what a team runs, every state it had, and the packages published of it.
//!
//! Has a read model of its own, in which every revision keeps its place in the log: how a function was at any moment is a
//! look-up, not a fold. Packages are objects named by their digest; the bytes come first and the event that names them
//! after, so that no version is ever without its package.

mod config;
mod grpc;
mod packages;
mod projection;
mod query;
mod room;
mod streams;
mod sweep;
mod versions;

use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{CommandFault, Commands, EventStore};
use cairn_kernel::{AsOf, Clock, Expected, Position};
use cairn_objects::ObjectStore;
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_service::quota::Rooms;
use cairn_service::{Refusal, moment_of};
use cairn_tlog::VerifyingKey;
use tokio::time::Instant;
use tonic::service::Routes;

pub use self::config::Config;
pub use self::packages::NewVersion;
pub use self::query::{FunctionRecord, FunctionSearch, Page, VersionRecord, Visible};
use crate::app::{Call, Made};
use crate::model::Function;
use crate::model::function::{Change, Command, FunctionName, Rejection};

/// The commands and queries on functions. Cheap to clone.
#[derive(Clone)]
pub struct Functions {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Arc<dyn ObjectStore>,
    commands: Commands,
    clock: Arc<dyn Clock>,
    model: ReadModel,
    view: View,
    config: Config,
    /// Whose signature a package needs. Empty: none.
    trusted_keys: Vec<VerifyingKey>,
    /// What is under way within the quotas of projects.
    rooms: Rooms,
}

impl Functions {
    /// Starts the read model. Must be called on a tokio runtime.
    pub fn start(
        objects: Arc<dyn ObjectStore>,
        store: Arc<dyn EventStore>,
        commands: Commands,
        views_folder: &Path,
        config: Config,
    ) -> Result<Self, QueryFault> {
        let model = ReadModel::open(&views_folder.join("functions.sqlite"), config.readers as usize)?;
        let view = View::start(store, &model, projection::Functions)?;
        let clock = Arc::clone(commands.clock());
        let trusted_keys = config.trusted_keys();
        let rooms = Rooms::default();
        let inner = Inner { objects, commands, clock, model, view, config, trusted_keys, rooms };
        let functions = Self { inner: Arc::new(inner) };
        sweep::sweep_regularly(&functions);
        Ok(functions)
    }

    /// The read model's view.
    pub fn view(&self) -> &View {
        &self.inner.view
    }

    /// Adds the services of the contract. How large a message may be, the guard in front of them has judged.
    pub(crate) fn routes(&self, routes: Routes) -> Routes {
        routes.add_service(grpc::service(self.clone())).add_service(versions::service(self.clone()))
    }

    /// Carries out a command that is answered with the function.
    pub async fn change(
        &self,
        call: &Call,
        name: &FunctionName,
        expected: Expected,
        command: Command,
    ) -> Result<Made<FunctionRecord>, Refusal> {
        let is_deletion = matches!(command, Command::Delete);
        let position = self.execute(call, name, expected, command).await?;
        // A repeat is answered as the first time was: with the revision that the request made, whatever came after it.
        let made = match &call.order.request {
            Some(request) => query::made_by(&self.inner.model, request.event_id(0)).await?,
            None => None,
        };
        let position = made.unwrap_or(position);
        let found = query::function(&self.inner.model, name, Some(position), is_deletion).await?;
        let value = found.ok_or_else(|| missing(name))?;
        Ok(Made { value, position })
    }

    /// A function, as it is or as it was.
    pub async fn function(
        &self,
        call: &Call,
        name: &FunctionName,
        as_of: Option<AsOf>,
    ) -> Result<FunctionRecord, Refusal> {
        let until = self.settle(call, as_of).await?;
        let found = query::function(&self.inner.model, name, until, false).await?;
        found.ok_or_else(|| match as_of {
            None => missing(name),
            Some(as_of) => Refusal::new(
                cairn_kernel::Code::NotFound,
                "FUNCTION_NOT_FOUND",
                format!("there was no function {name} at {as_of}"),
            )
            .with("function", name)
            .with("as_of", as_of),
        })
    }

    /// Functions of a project, by name.
    pub async fn search(&self, call: &Call, search: FunctionSearch) -> Result<Page<FunctionRecord>, Refusal> {
        let until = self.settle(call, search.as_of).await?;
        query::search(&self.inner.model, search, until).await.map_err(Into::into)
    }

    /// What a function has been, newest first. Also of one that is deleted.
    pub async fn revisions(
        &self,
        call: &Call,
        name: &FunctionName,
        limit: usize,
        page_token: &str,
    ) -> Result<Page<FunctionRecord>, Refusal> {
        self.settle(call, None).await?;
        let page = query::revisions(&self.inner.model, name, limit, page_token).await?;
        if page.items.is_empty() && page_token.is_empty() {
            return Err(missing(name));
        }
        Ok(page)
    }

    async fn execute(
        &self,
        call: &Call,
        name: &FunctionName,
        expected: Expected,
        command: Command,
    ) -> Result<Position, Refusal> {
        let order = call.on(name.name());
        let done = self.inner.commands.execute::<Function>(&order, &name.stream(), expected, command).await;
        let done = done.map_err(|fault| refused(fault, name))?;
        self.reached(done.position, call.deadline).await?;
        Ok(done.position)
    }

    /// Waits for what the caller has seen or names, and gives the position that the moment named stands for.
    async fn settle(&self, call: &Call, as_of: Option<AsOf>) -> Result<Option<Position>, Refusal> {
        let until = match as_of {
            Some(as_of) => {
                let moment = moment_of(&**self.inner.commands.store(), &*self.inner.clock, as_of).await?;
                Some(moment.position)
            }
            None => None,
        };
        self.reached(until.max(call.after).unwrap_or(Position::START), call.deadline).await?;
        Ok(until)
    }

    async fn reached(&self, position: Position, deadline: Instant) -> Result<(), Refusal> {
        self.inner.view.reached(position, deadline).await.map_err(Into::into)
    }
}

/// A refusal that says which function it is about, where the rejection does not know.
fn refused(fault: CommandFault<Rejection>, name: &FunctionName) -> Refusal {
    match fault {
        CommandFault::Rejected(Rejection::NotFound) => missing(name),
        fault => fault.into(),
    }
}

fn missing(name: &FunctionName) -> Refusal {
    Refusal::of(&Rejection::NotFound).with("function", name)
}

/// The revision that a change made. `None`: it made none.
fn revision_of(change: &Change) -> Option<u32> {
    match change {
        Change::Created { revision, .. } | Change::Revised { revision, .. } | Change::Deleted { revision } => {
            Some(*revision)
        }
        Change::Published { .. } => None,
    }
}
