use std::sync::Arc;

use cairn_eventstore::{CommandFault, Loaded, Stored};
use cairn_kernel::{Position, StreamName, Time};
use cairn_service::Refusal;

use super::{App, Call};
use crate::model::{DefaultPolicy, Model, ModelName, Terms};
use crate::query::Query;

/// What one read sees: the present, or a moment that has passed.
#[derive(Clone)]
pub struct Reading {
    pub query: Query,
    /// What the clock shows then.
    pub now: Time,
    /// Where the log ends then. `None`: wherever it ends.
    at: Option<Position>,
}

impl App {
    /// What a call wants to see, once it can be seen.
    pub async fn reading(&self, call: &Call) -> Result<Reading, Refusal> {
        let Some(as_of) = call.as_of else {
            self.settle(call).await?;
            return Ok(self.present());
        };
        let then = self.inner.past.at(as_of, call.deadline).await?;
        Ok(Reading { query: Query::new(then.model), now: then.moment.time, at: Some(then.moment.position) })
    }

    /// What is there now.
    pub fn present(&self) -> Reading {
        Reading { query: self.inner.query.clone(), now: self.inner.clock.now(), at: None }
    }

    /// A stream as the log has it then.
    pub(super) async fn loaded<A: Stored>(
        &self,
        reading: &Reading,
        stream: &StreamName,
    ) -> Result<Loaded<A>, CommandFault<A::Rejection>> {
        let commands = &self.inner.commands;
        match reading.at {
            None => commands.load::<A>(stream).await,
            Some(at) => commands.load_at::<A>(stream, at).await,
        }
    }

    /// A state as the log has it then.
    pub(super) async fn state<A: Stored>(
        &self,
        reading: &Reading,
        stream: &StreamName,
    ) -> Result<Arc<A>, CommandFault<A::Rejection>> {
        Ok(self.loaded::<A>(reading, stream).await?.state)
    }

    /// A model's state, and the policy of its project, as the log has them then.
    pub(super) async fn load(
        &self,
        reading: &Reading,
        model: &ModelName,
    ) -> Result<(Arc<Model>, Option<Arc<Terms>>), Refusal> {
        let state = self.state::<Model>(reading, &model.stream()).await?;
        let default = self.state::<DefaultPolicy>(reading, &model.parent().policy_stream()).await?;
        Ok((state, default.terms.clone()))
    }
}
