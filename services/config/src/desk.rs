use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::Commands;
use cairn_kernel::{Code, Expected, NameFault, Position, Revision};
use cairn_projection::View;
use cairn_seal::{KeeperFault, SealFault, Sealer};
use cairn_service::{AsOfReads, Ctx, Refusal, refuse};
use tonic::Status;

use crate::model::Text;
use crate::query::Query;
use crate::settings::Settings;

/// When a keeper that does not answer is worth asking again.
const KEEPER_RETRY: Duration = Duration::from_secs(1);

/// What every handler works with.
pub struct Desk {
    pub commands: Commands,
    pub view: View,
    pub query: Query,
    pub past: AsOfReads,
    pub sealer: Sealer,
    pub settings: Arc<dyn Settings>,
}

impl Desk {
    /// Waits until a change shows in what this process answers from.
    pub async fn settle(&self, ctx: &Ctx, position: Position) -> Result<(), Status> {
        self.view.reached(position, ctx.deadline()).await.map_err(refuse)
    }

    /// What a read sees: the moment that its own field names, or the present, once that shows what the reader says it
    /// must see.
    pub async fn reading(&self, ctx: &Ctx, as_of: &str) -> Result<Query, Status> {
        if let Some(as_of) = ctx.as_of(as_of)? {
            let then = self.past.at(as_of, ctx.deadline()).await.map_err(refuse)?;
            return Ok(Query::new(then.model));
        }
        if let Some(after) = ctx.after() {
            self.settle(ctx, after).await?;
        }
        Ok(self.query.clone())
    }
}

/// What an etag says about the revision of a stream.
pub fn expected(etag: &str) -> Result<Expected, Status> {
    if etag.is_empty() {
        return Ok(Expected::Any);
    }
    Ok(Expected::Exactly(Revision(etag_number(etag)?)))
}

/// The number that an etag is.
pub fn etag_number<T: std::str::FromStr>(etag: &str) -> Result<T, Status> {
    etag.parse().map_err(|_| refuse(Refusal::invalid("etag", "is none that was given out here")))
}

/// Parses words for people.
pub fn text(field: &'static str, text: &str) -> Result<Text, Status> {
    let problem = "must be at most 1,000 characters, without control characters";
    text.parse().map_err(|_: NameFault| refuse(Refusal::invalid(field, problem)))
}

/// What is said of a fault of sealing. Of what was sealed, nothing.
pub fn seal_refusal(fault: SealFault) -> Refusal {
    match &fault {
        SealFault::Keeper(KeeperFault::GivenFromOutside) => {
            Refusal::new(Code::FailedPrecondition, "KEEPER_FIXED", fault.to_string())
        }
        SealFault::Keeper(keeper) if keeper.is_passing() => {
            let message = "whoever keeps the key of keys does not answer";
            let mut refusal = Refusal::new(Code::Unavailable, "KEEPER_UNAVAILABLE", message).after(KEEPER_RETRY);
            refusal.cause = Some(fault.to_string().into());
            refusal
        }
        _ => Refusal::internal(fault),
    }
}
