//! Streams that are not in memory and that many ask for at once.

use std::sync::Arc;

use cairn_eventstore::{CommandFault, Commands, EventStore, Memory, Order};
use cairn_kernel::{Expected, SystemClock};
use cairn_testkit::account::{Account, Command, stream};
use cairn_testkit::{Faults, FaultyStore};
use futures::FutureExt;
use futures::future::join_all;

/// Reads let others go first, so that whoever asks for a stream asks while it is being read.
const SLOW: Faults = Faults { delay_max: 500, ..Faults::NONE };

/// A store with one account of `changes` events, and commands that know nothing of it yet.
async fn cold(changes: u64) -> (Arc<FaultyStore>, Commands) {
    let memory = Memory::new();
    let writer = Commands::new(Arc::new(memory.clone()), Arc::new(SystemClock), 1 << 20);
    let order = Order::default();
    writer.execute::<Account>(&order, &stream("a"), Expected::Any, Command::Open).await.unwrap();
    for _ in 1..changes {
        writer.execute::<Account>(&order, &stream("a"), Expected::Any, Command::Deposit(1)).await.unwrap();
    }
    let store = Arc::new(FaultyStore::new(Arc::new(memory), 7, SLOW));
    let commands = Commands::new(Arc::clone(&store) as Arc<dyn EventStore>, Arc::new(SystemClock), 1 << 20);
    (store, commands)
}

#[tokio::test]
async fn many_who_ask_for_a_cold_stream_have_it_read_once() {
    let (store, commands) = cold(10).await;
    let a = stream("a");
    let loads = join_all((0..100).map(|_| commands.load::<Account>(&a))).await;
    assert!(loads.iter().all(|loaded| loaded.as_ref().is_ok_and(|loaded| loaded.state.balance == 9)));
    // Its snapshot, of which there is none, and its one page of events.
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn many_commands_on_a_cold_stream_have_it_read_once_and_lose_no_race() {
    let (store, commands) = cold(10).await;
    let (a, order) = (stream("a"), Order::default());
    let deposits = (0..100).map(|_| commands.execute::<Account>(&order, &a, Expected::Any, Command::Deposit(1)));
    for done in join_all(deposits).await {
        done.unwrap();
    }
    assert_eq!(store.reads(), 2);
    assert_eq!(commands.load::<Account>(&a).await.unwrap().state.balance, 109);
}

#[tokio::test]
async fn a_read_that_fails_fails_for_all_who_wait_and_the_next_one_reads_again() {
    let (store, commands) = cold(10).await;
    store.set(Faults { lost_read: 1.0, ..SLOW });
    let a = stream("a");
    for failed in join_all((0..20).map(|_| commands.load::<Account>(&a))).await {
        assert!(matches!(failed, Err(CommandFault::Read(_))), "{failed:?}");
    }
    assert_eq!(store.reads(), 1);
    store.set(Faults::NONE);
    assert_eq!(commands.load::<Account>(&a).await.unwrap().state.balance, 9);
}

#[tokio::test]
async fn whoever_gives_up_does_not_stop_the_others_and_leaves_nothing_behind() {
    let (store, commands) = cold(10).await;
    let a = stream("a");
    let mut first = Box::pin(commands.load::<Account>(&a));
    assert!(first.as_mut().now_or_never().is_none(), "it was read at once");
    let mut second = Box::pin(commands.load::<Account>(&a));
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    assert_eq!(second.await.unwrap().state.balance, 9);
    assert_eq!(store.reads(), 2);
    let other = stream("b");
    let mut abandoned = Box::pin(commands.load::<Account>(&other));
    assert!(abandoned.as_mut().now_or_never().is_none());
    drop(abandoned);
    drop(commands);
    assert_eq!(Arc::strong_count(&store), 1, "an abandoned fold keeps the store open");
}
