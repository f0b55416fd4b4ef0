use std::future::Future;
use std::mem;
use std::sync::Arc;

use cairn_kernel::{Position, StreamName};
use tracing::{Instrument, debug_span};

use super::cache::Key;
use super::execute::is_lost_race;
use super::ids::Ids;
use super::sent::Sent;
use super::staged::Staged;
use super::work::Footing;
use super::{ATTEMPTS_MAX, CommandFault, Commands, Order, Work};

impl Commands {
    /// Carries out several commands as one atomic append: all of them or none.
    ///
    /// `attempt` stages its decisions on the [`Work`] and is run again, on fresh states, when a race is lost. It must
    /// do nothing else.
    pub async fn transact<R, T, F, Fut>(&self, order: &Order, attempt: F) -> Result<(T, Position), CommandFault<R>>
    where
        F: Fn(Work) -> Fut,
        Fut: Future<Output = Result<(T, Work), CommandFault<R>>>,
    {
        let since = self.head();
        let mut contended = None;
        for _ in 0..ATTEMPTS_MAX {
            let repeat_of = self.carried_out(order).instrument(debug_span!("idempotency")).await?;
            let footings = Arc::default();
            let outcome = attempt(Work::new(self.clone(), Arc::clone(&footings), repeat_of.is_some())).await;
            let footings: Vec<Footing> = mem::take(&mut *footings.lock());
            contended = footings.last().map(|footing| footing.key.1.clone()).or(contended);
            let (value, staged) = match outcome {
                Ok((value, work)) => (Ok(value), work.staged),
                Err(fault) => (Err(fault), vec![]),
            };
            if staged.iter().all(Staged::is_empty) {
                let Some(position) = self.all_stand(&footings, since).await? else { continue };
                if repeat_of.is_none() && self.carried_out(order).await?.is_some() {
                    continue;
                }
                return Ok((value?, position.max(repeat_of.unwrap_or_default())));
            }
            if let Some(position) = self.commit(order, staged).instrument(debug_span!("storage")).await? {
                return Ok((value?, position));
            }
        }
        let stream = contended.unwrap_or_else(|| StreamName::stored(""));
        Err(CommandFault::Contended { stream, attempts: ATTEMPTS_MAX })
    }

    /// The position that reads every state a decision rested on, once all are durable. `None`: one of them never was,
    /// or is no longer.
    async fn all_stand<R>(&self, footings: &[Footing], since: Position) -> Result<Option<Position>, CommandFault<R>> {
        let mut position = Position::START;
        for footing in footings {
            match self.stands(&footing.key, &footing.place, since).await? {
                Some(reads) => position = position.max(reads),
                None => return Ok(None),
            }
        }
        Ok(Some(position))
    }

    /// Appends what was staged. `None`: the race was lost.
    async fn commit<R>(&self, order: &Order, staged: Vec<Staged>) -> Result<Option<Position>, CommandFault<R>> {
        let lineages: Vec<(Key, u64)> = staged.iter().map(|staged| (staged.key.clone(), staged.base.lineage)).collect();
        let Some(sent) = self.send_if_newest(order, staged) else { return Ok(None) };
        match sent.outcome().await {
            Ok(appended) if !appended.is_repeat => Ok(Some(appended.position)),
            outcome => {
                for (key, lineage) in &lineages {
                    self.forget(key, *lineage);
                }
                is_lost_race(outcome.map(drop))?;
                Ok(None)
            }
        }
    }

    fn send_if_newest(&self, order: &Order, staged: Vec<Staged>) -> Option<Sent> {
        let turn = self.cache().turn(staged.iter().map(Staged::stream));
        if !staged.iter().all(|staged| turn.is_newest(&staged.key, &staged.base)) {
            return None;
        }
        let mut ids = Ids::new(order.request.as_ref(), &**self.clock());
        Some(self.send(&turn, staged, &mut ids, &order.stored_metadata()).0)
    }
}
