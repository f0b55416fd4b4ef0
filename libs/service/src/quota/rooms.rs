use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use cairn_kernel::Name;
use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::Limit;
use crate::Refusal;

/// Counts what is under way within the limits of projects.
#[derive(Default)]
pub struct Rooms {
    rooms: Mutex<HashMap<(Name, &'static str), Weak<Room>>>,
}

#[derive(Default)]
struct Room {
    /// Held together by those who fit in beside everybody who is under way, and alone by who may not.
    turn: Arc<RwLock<()>>,
    under_way: AtomicU64,
}

/// Room for a change. To be held until the change shows where usage is read.
#[must_use]
pub struct Place {
    room: Arc<Room>,
    amount: u64,
    _turn: Turn,
}

enum Turn {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Rooms {
    /// Takes room for so much more, or refuses. `used` reads how much there is.
    ///
    /// While there is plenty of room, nobody waits for anybody. When that is in doubt, who asks waits until everything
    /// that was let in shows, and then is the only one who is let in.
    pub async fn enter<R, E>(&self, limit: &Limit, amount: u64, used: impl Fn() -> R) -> Result<Place, Refusal>
    where
        R: Future<Output = Result<u64, E>>,
        Refusal: From<E>,
    {
        let room = self.room(limit);
        let guard = Arc::clone(&room.turn).read_owned().await;
        let place = Place::in_room(&room, amount, Turn::Shared { _guard: guard });
        // Read after it was counted. What others finish meanwhile is in both, which errs on the safe side.
        let under_way = room.under_way.load(Ordering::SeqCst);
        if used().await?.saturating_add(under_way) <= limit.max {
            return Ok(place);
        }
        drop(place);
        let guard = Arc::clone(&room.turn).write_owned().await;
        let used = used().await?;
        if used.saturating_add(amount) > limit.max {
            return Err(limit.exceeded(used, amount));
        }
        Ok(Place::in_room(&room, amount, Turn::Alone { _guard: guard }))
    }

    fn room(&self, limit: &Limit) -> Arc<Room> {
        let mut rooms = self.rooms.lock();
        rooms.retain(|_, room| room.strong_count() > 0);
        let key = (limit.project.clone(), limit.quota);
        if let Some(room) = rooms.get(&key).and_then(Weak::upgrade) {
            return room;
        }
        let room = Arc::new(Room::default());
        rooms.insert(key, Arc::downgrade(&room));
        room
    }
}

impl Place {
    fn in_room(room: &Arc<Room>, amount: u64, turn: Turn) -> Self {
        room.under_way.fetch_add(amount, Ordering::SeqCst);
        Self { room: Arc::clone(room), amount, _turn: turn }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.under_way.fetch_sub(self.amount, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    fn limit(max: u64) -> Limit {
        Limit { project: "projects/p".parse().unwrap(), quota: "runs_max", what: "runs", max }
    }

    /// Something that is limited, and shows a while after it was let in.
    #[derive(Default)]
    struct Made {
        rooms: Rooms,
        shown: AtomicU64,
    }

    impl Made {
        async fn used(&self) -> Result<u64, NoFault> {
            let shown = self.shown.load(Ordering::SeqCst);
            yield_now().await;
            Ok(shown)
        }

        async fn make(&self, limit: &Limit, amount: u64) -> Result<(), Refusal> {
            let _place = self.rooms.enter(limit, amount, || self.used()).await?;
            for _ in 0..3 {
                yield_now().await;
            }
            self.shown.fetch_add(amount, Ordering::SeqCst);
            yield_now().await;
            Ok(())
        }
    }

    struct NoFault(Infallible);

    impl From<NoFault> for Refusal {
        fn from(fault: NoFault) -> Self {
            match fault.0 {}
        }
    }

    #[tokio::test]
    async fn however_many_ask_at_once_exactly_as_much_is_let_in_as_there_is_room_for() {
        for (max, amount, many) in [(7, 1, 40), (7, 2, 40), (0, 1, 3), (100, 1, 40), (3, 5, 4)] {
            let (made, limit) = (Made::default(), limit(max));
            let asked = join_all((0..many).map(|_| made.make(&limit, amount))).await;
            let let_in = asked.iter().filter(|asked| asked.is_ok()).count() as u64;
            assert_eq!(let_in, (max / amount).min(many), "{max} for {amount} each");
            assert_eq!(made.shown.load(Ordering::SeqCst), let_in * amount);
        }
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_its_room_to_others_and_projects_have_rooms_of_their_own() {
        let (made, one) = (Made::default(), limit(1));
        let held = made.rooms.enter(&one, 1, || made.used()).await.map_err(|_| ()).unwrap();
        let other = Limit { project: "projects/q".parse().unwrap(), ..one.clone() };
        made.make(&other, 1).await.unwrap();
        made.shown.store(0, Ordering::SeqCst);
        let mut waiting = Box::pin(made.make(&one, 1));
        assert!(futures::poll!(&mut waiting).is_pending() && futures::poll!(&mut waiting).is_pending());
        drop(held);
        waiting.await.unwrap();
        assert!(made.rooms.rooms.lock().values().all(|room| room.strong_count() == 0), "nobody is left");
    }

    #[tokio::test]
    async fn a_refusal_says_which_limit_how_much_there_is_and_what_was_asked_for() {
        let made = Made::default();
        made.shown.store(3, Ordering::SeqCst);
        let refusal = made.make(&limit(3), 2).await.unwrap_err();
        assert_eq!(refusal.reason, "QUOTA_EXCEEDED");
        assert_eq!(refusal.message, "projects/p has 3 of 3 runs that its quota (runs_max) allows: no room for 2 more");
        let told: Vec<_> = refusal.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["project=projects/p", "quota=runs_max", "limit=3", "used=3", "asked=2"]);
    }
}
