use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cairn_kernel::Code;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::Refusal;

/// Lets so many calls run at once. When there are more, tenants take turns: each gets one place after the other,
/// whatever the others have waiting, so that one project's rush holds up nobody else's calls by more than a turn.
pub(crate) struct Turns {
    state: Mutex<State>,
    /// Most calls of one tenant that wait.
    waiting_max: usize,
}

struct State {
    free: usize,
    /// Of each tenant that waits: its calls, first come first.
    waiting: HashMap<String, VecDeque<oneshot::Sender<Place>>>,
    /// The tenants that wait, next first. INVARIANT: each key of `waiting` once, and nothing waits while a place is free.
    turns: VecDeque<String>,
}

/// A place to run in, given on when dropped.
pub(crate) struct Place {
    turns: Option<Arc<Turns>>,
}

impl Turns {
    pub fn new(places: usize, waiting_max: usize) -> Arc<Self> {
        let state = State { free: places, waiting: HashMap::new(), turns: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state), waiting_max })
    }

    /// Waits for a place. Whoever stops waiting gives up their turn.
    pub async fn place(self: &Arc<Self>, tenant: &str) -> Result<Place, Refusal> {
        let turn = {
            let mut state = self.state.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Place { turns: Some(Arc::clone(self)) });
            }
            let (notify, turn) = oneshot::channel();
            state.queue(tenant, notify, self.waiting_max).map_err(|()| crowded(tenant))?;
            turn
        };
        turn.await.map_err(|_| crowded(tenant))
    }

    /// Gives a place to whoever's turn it is.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state.lock();
                match state.next() {
                    Some(next) => next,
                    None => {
                        state.free += 1;
                        return;
                    }
                }
            };
            match next.send(Place { turns: Some(Arc::clone(self)) }) {
                Ok(()) => return,
                // It stopped waiting. The place is still to be given, and not by dropping it here.
                Err(mut place) => drop(place.turns.take()),
            }
        }
    }
}

impl State {
    fn queue(&mut self, tenant: &str, notify: oneshot::Sender<Place>, waiting_max: usize) -> Result<(), ()> {
        if let Some(queue) = self.waiting.get_mut(tenant) {
            if queue.len() >= waiting_max {
                queue.retain(|waiting| !waiting.is_closed());
            }
            if queue.len() >= waiting_max {
                return Err(());
            }
            queue.push_back(notify);
            return Ok(());
        }
        self.waiting.insert(tenant.to_owned(), VecDeque::from([notify]));
        self.turns.push_back(tenant.to_owned());
        Ok(())
    }

    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let tenant = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&tenant)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        next
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.pass_on();
        }
    }
}

fn crowded(tenant: &str) -> Refusal {
    let message = format!("{tenant} has more calls waiting than it may");
    Refusal::new(Code::ResourceExhausted, "RATE_LIMITED", message).after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    type Waiting = BoxFuture<'static, Result<Place, Refusal>>;

    /// A call that waits for its turn.
    fn waiting(turns: &Arc<Turns>, tenant: &'static str) -> Waiting {
        let turns = Arc::clone(turns);
        let mut waiting = async move { turns.place(tenant).await }.boxed();
        assert!(waiting.as_mut().now_or_never().is_none(), "there was a place for {tenant}");
        waiting
    }

    fn free(turns: &Arc<Turns>, tenant: &str) -> Place {
        turns.place(tenant).now_or_never().expect("there is a place").unwrap()
    }

    /// The place that a call has been given, if it has.
    fn given(waiting: &mut Waiting) -> Option<Place> {
        waiting.as_mut().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn one_tenants_rush_holds_up_another_by_one_turn_only() {
        let turns = Turns::new(1, 1_000);
        let running = free(&turns, "noisy");
        let mut noisy: Vec<Waiting> = (0..100).map(|_| waiting(&turns, "noisy")).collect();
        let mut quiet = waiting(&turns, "quiet");
        drop(running);
        let first = given(&mut noisy[0]).expect("the noisy one's turn came first");
        assert!(given(&mut quiet).is_none());
        drop(first);
        let place = given(&mut quiet).expect("after one turn, with ninety-nine of the other still waiting");
        drop(place);
        assert!(given(&mut noisy[1]).is_some(), "and then goes on");
    }

    #[test]
    fn a_place_whose_caller_has_gone_goes_to_the_next() {
        let turns = Turns::new(1, 1_000);
        let running = free(&turns, "a");
        let gone = waiting(&turns, "a");
        let mut next = waiting(&turns, "b");
        drop(gone);
        drop(running);
        drop(given(&mut next).expect("nobody else waits"));
        // Given, but never taken.
        let running = free(&turns, "a");
        let untaken = waiting(&turns, "a");
        drop(running);
        drop(untaken);
        drop(free(&turns, "b"));
        assert_eq!(turns.state.lock().free, 1, "no place is lost");
        assert!(turns.state.lock().waiting.is_empty() && turns.state.lock().turns.is_empty());
    }

    #[test]
    fn a_tenant_has_a_bounded_number_of_calls_waiting() {
        let turns = Turns::new(1, 2);
        let running = free(&turns, "a");
        let kept = waiting(&turns, "a");
        let gone = waiting(&turns, "a");
        let refused = turns.place("a").now_or_never().expect("refused at once").err().unwrap();
        assert_eq!((refused.reason, refused.retry_after), ("RATE_LIMITED", Some(Duration::from_secs(1))));
        drop(waiting(&turns, "b"));
        drop(gone);
        let again = waiting(&turns, "a");
        drop((running, kept, again));
    }
}
