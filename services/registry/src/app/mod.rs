//! What this service does, for whichever surface asks: each call decides, appends, waits until the read models have
//! seen it, and answers from them.

mod call;
mod gate;
mod hooks;
mod models;
mod moving;
mod policies;
mod promotions;
mod reading;
mod signing;
mod sources;
mod versions;

use std::sync::Arc;

use cairn_eventstore::{CommandFault, Commands, Work};
use cairn_kernel::{Clock, Expected, Position};
use cairn_projection::View;
use cairn_service::{AsOfReads, Refusal};
use tokio::time::Instant;

pub use self::call::{Call, Made};
use self::gate::Gate;
pub use self::hooks::{HookChange, HookRecord, NewHook, NewWebhook, Trial};
pub use self::models::{ModelChange, NewModel};
pub use self::moving::Way;
pub use self::policies::Policy;
pub use self::promotions::PromotionStatus;
pub use self::reading::Reading;
use self::signing::trust;
pub use self::signing::{NewSigningPolicy, Signing};
pub use self::sources::Source;
pub use self::versions::{NewVersion, Resolve};
use crate::config::Config;
use crate::files::Files;
use crate::hooks::Working;
use crate::model::registered::{Command, Rejection};
use crate::model::signing::Trust;
use crate::model::{DefaultPolicy, Model, ModelName, PolicyScope, ProjectName, Terms};
use crate::query::{Query, SearchError};

/// The commands and queries of this service. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Commands,
    clock: Arc<dyn Clock>,
    view: View,
    query: Query,
    past: AsOfReads,
    config: Config,
    tools: Working,
    files: Files,
}

impl App {
    /// Over a log and the read models that follow it.
    #[expect(clippy::too_many_arguments, reason = "what it stands on, each once")]
    pub fn new(
        commands: Commands,
        clock: Arc<dyn Clock>,
        view: View,
        query: Query,
        past: AsOfReads,
        config: Config,
        tools: Working,
        files: Files,
    ) -> Self {
        Self { inner: Arc::new(Inner { commands, clock, view, query, past, config, tools, files }) }
    }

    /// Reads the read models. Ask [`App::settle`] first when the caller named a position.
    pub fn query(&self) -> &Query {
        &self.inner.query
    }

    /// The clock that everything here takes its time from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Waits until the position that the caller wants to have been seen has been.
    pub async fn settle(&self, call: &Call) -> Result<(), Refusal> {
        match call.after {
            Some(position) => self.reached(position, call.deadline).await,
            None => Ok(()),
        }
    }

    async fn reached(&self, position: Position, deadline: Instant) -> Result<(), Refusal> {
        self.inner.view.reached(position, deadline).await.map_err(Into::into)
    }

    /// Everything that is in the log now. What is asked for after it is not older than this.
    fn head(&self) -> Position {
        *self.inner.commands.store().head().borrow()
    }

    /// One command on a model, under the policy of its project as it is at that moment.
    async fn command(
        &self,
        call: &Call,
        model: &ModelName,
        expected: Expected,
        command: impl Fn(Option<Arc<Terms>>) -> Command + Clone + Send + Sync,
    ) -> Result<(Arc<Model>, Position), Refusal> {
        self.command_trusting(call, model, expected, &[], |default, _| command(default)).await
    }

    /// The same, and under these signing policies as they are at that moment.
    async fn command_trusting(
        &self,
        call: &Call,
        model: &ModelName,
        expected: Expected,
        policies: &[PolicyScope],
        command: impl Fn(Option<Arc<Terms>>, Trust) -> Command + Clone + Send + Sync,
    ) -> Result<(Arc<Model>, Position), Refusal> {
        let attempt = |mut work: Work, gate: Gate| {
            let (model, command) = (model.clone(), command.clone());
            async move {
                let default = default_terms(&mut work, &model.parent()).await?;
                let command = command(default, trust(&mut work, policies).await?);
                if !gate.lets_command(&mut work, &model, &command).await? {
                    return Ok((None, work));
                }
                let state = work.decide::<Model>(&model.stream(), expected, command).await?;
                Ok((Some(state), work))
            }
        };
        self.gated(call, &call.on(model.name()), attempt).await.map_err(|fault| refused(fault, model))
    }
}

/// The policy of a project, on which what is decided with it depends.
async fn default_terms(work: &mut Work, project: &ProjectName) -> Result<Option<Arc<Terms>>, CommandFault<Rejection>> {
    Ok(work.witness::<DefaultPolicy>(&project.policy_stream()).await?.state.terms.clone())
}

/// A refusal that says which model it is about, where the rejection does not know.
fn refused(fault: CommandFault<Rejection>, model: &ModelName) -> Refusal {
    let is_unknown = matches!(fault, CommandFault::Rejected(Rejection::NotFound));
    let refusal = Refusal::from(fault);
    if is_unknown { refusal.with("model", model) } else { refusal }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Search(fault) => Self::of(&fault),
            SearchError::Query(fault) => fault.into(),
        }
    }
}
