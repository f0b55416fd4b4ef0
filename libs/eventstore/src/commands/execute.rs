use std::sync::Arc;

use cairn_kernel::{Expected, Position, StreamName};
use tracing::{Instrument, debug_span};

use super::cache::{Entry, Place, Turn, key};
use super::ids::Ids;
use super::sent::Sent;
use super::staged::{Staged, encode};
use super::{ATTEMPTS_MAX, CommandFault, Commands, Done, Order, Stored, check_etag};
use crate::AppendFault;

/// What came of deciding once.
enum Step<A: Stored> {
    /// An append is on its way.
    Sent { sent: Sent, before: Place, after: Entry<A> },
    /// There is nothing to append: an answer, if the state it rests on stands.
    Idle { base: Entry<A>, verdict: Result<(), CommandFault<A::Rejection>> },
}

impl Commands {
    /// Carries out one command on one stream.
    ///
    /// `expected` is what the caller's etag says; [`Expected::Any`] decides on whatever is current.
    pub async fn execute<A: Stored>(
        &self,
        order: &Order,
        stream: &StreamName,
        expected: Expected,
        command: A::Command,
    ) -> Result<Done<A>, CommandFault<A::Rejection>> {
        let since = self.head();
        for _ in 0..ATTEMPTS_MAX {
            if let Some(position) = self.carried_out(order).instrument(debug_span!("idempotency")).await? {
                return self.answer_repeat(stream, position).await;
            }
            let done = match self.step::<A>(order, stream, expected, &command).await? {
                Step::Sent { sent, before, after } => {
                    self.finish(stream, &sent, &before, after).instrument(debug_span!("storage")).await?
                }
                Step::Idle { base, verdict } => self.answer_idle(order, stream, since, base, verdict).await?,
            };
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(CommandFault::Contended { stream: stream.clone(), attempts: ATTEMPTS_MAX })
    }

    /// Decides on the newest state and queues the append, in one turn.
    async fn step<A: Stored>(
        &self,
        order: &Order,
        stream: &StreamName,
        expected: Expected,
        command: &A::Command,
    ) -> Result<Step<A>, CommandFault<A::Rejection>> {
        let mut folded = None;
        loop {
            {
                let turn = self.cache().turn([stream]);
                if let Some(base) = self.cache().get::<A>(stream).or_else(|| folded.take()) {
                    return Ok(self.decide(&turn, order, stream, expected, command, base));
                }
            }
            folded = Some(self.fold::<A, _>(stream).await?);
        }
    }

    fn decide<A: Stored>(
        &self,
        turn: &Turn<'_>,
        order: &Order,
        stream: &StreamName,
        expected: Expected,
        command: &A::Command,
        base: Entry<A>,
    ) -> Step<A> {
        let decided = check_etag(stream, expected, base.place.revision)
            .and_then(|()| base.state.decide(command.clone()).map_err(CommandFault::Rejected));
        let events = match decided {
            Ok(events) if !events.is_empty() => events,
            idle => return Step::Idle { base, verdict: idle.map(drop) },
        };
        let mut state = A::clone(&base.state);
        events.iter().for_each(|event| state.evolve(event));
        let state = Arc::new(state);
        let mut staged = Staged::new::<A>(stream, base);
        let before = staged.base.clone();
        staged.push(Arc::clone(&state), encode::<A>(&events));
        let mut ids = Ids::new(order.request.as_ref(), &**self.clock());
        let (sent, mut places) = self.send(turn, vec![staged], &mut ids, &order.stored_metadata());
        let place = places.pop().expect("one staged stream has one place");
        Step::Sent { sent, before, after: Entry { place, state } }
    }

    /// Waits for the append. `None`: the race was lost.
    async fn finish<A: Stored>(
        &self,
        stream: &StreamName,
        sent: &Sent,
        before: &Place,
        after: Entry<A>,
    ) -> Result<Option<Done<A>>, CommandFault<A::Rejection>> {
        let revision = after.place.revision;
        match sent.outcome().await {
            Ok(appended) if !appended.is_repeat => {
                self.keep_snapshot(stream, &*after.state, before.revision, revision).await;
                Ok(Some(Done { state: after.state, revision, position: appended.position, is_repeat: false }))
            }
            outcome => {
                self.forget(&key::<A>(stream), after.place.lineage);
                is_lost_race(outcome.map(drop))?;
                Ok(None)
            }
        }
    }

    /// Answers a command that appends nothing. `None`: it was decided on a state that never was, or is no longer.
    async fn answer_idle<A: Stored>(
        &self,
        order: &Order,
        stream: &StreamName,
        since: Position,
        base: Entry<A>,
        verdict: Result<(), CommandFault<A::Rejection>>,
    ) -> Result<Option<Done<A>>, CommandFault<A::Rejection>> {
        let Some(position) = self.stands(&key::<A>(stream), &base.place, since).await? else { return Ok(None) };
        // The same request may have been carried out since: then its answer is not what the rules say to a second one.
        if self.carried_out(order).await?.is_some() {
            return Ok(None);
        }
        verdict?;
        Ok(Some(Done { state: base.state, revision: base.place.revision, position, is_repeat: false }))
    }
}

/// Passes over what deciding again can cure: a lost race, and a repeat that turned up while this one was decided.
pub(super) fn is_lost_race<R>(outcome: Result<(), AppendFault>) -> Result<(), CommandFault<R>> {
    match outcome {
        Ok(()) | Err(AppendFault::WrongRevision { .. } | AppendFault::PartlyAppended { .. }) => Ok(()),
        Err(fault) => Err(CommandFault::Append(fault)),
    }
}
