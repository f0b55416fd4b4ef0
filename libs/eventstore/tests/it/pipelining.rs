//! Commands that decide on a state whose append is still on its way.

use std::sync::Arc;

use cairn_eventstore::{AppendFault, CommandFault, Commands, Direction, Done, EventStore, Memory, Order, Stored};
use cairn_kernel::{Aggregate, Expected, Revision, SystemClock};
use cairn_testkit::account::{Account, Command, Rejection, keyed, stream};
use cairn_testkit::{Faults, FaultyStore};
use tokio::task::{JoinHandle, yield_now};

type Outcome = Result<Done<Account>, CommandFault<Rejection>>;

fn held() -> (Arc<FaultyStore>, Commands) {
    let store = Arc::new(FaultyStore::new(Arc::new(Memory::new()), 0, Faults::NONE));
    let commands = Commands::new(Arc::clone(&store) as Arc<dyn EventStore>, Arc::new(SystemClock), 1 << 20);
    (store, commands)
}

fn ask(commands: &Commands, command: Command) -> JoinHandle<Outcome> {
    order(commands, Order::default(), command)
}

fn order(commands: &Commands, order: Order, command: Command) -> JoinHandle<Outcome> {
    let commands = commands.clone();
    tokio::spawn(async move { commands.execute::<Account>(&order, &stream("a"), Expected::Any, command).await })
}

async fn queued(store: &FaultyStore, count: usize) {
    while store.waiting() < count {
        yield_now().await;
    }
}

async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn clients_of_one_stream_queue_together_and_do_not_wait_for_each_others_disk_write() {
    let (store, commands) = held();
    ask(&commands, Command::Open).await.unwrap().unwrap();
    store.hold();
    let clients: Vec<_> = (0..50).map(|_| ask(&commands, Command::Deposit(1))).collect();
    queued(&store, 50).await;
    store.release();
    let mut revisions = vec![];
    for client in clients {
        revisions.extend(client.await.unwrap().unwrap().revision);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=50).map(Revision).collect::<Vec<_>>());
}

#[tokio::test]
async fn nobody_is_answered_from_a_state_that_is_not_durable() {
    let (store, commands) = held();
    store.hold();
    let open = ask(&commands, Command::Open);
    queued(&store, 1).await;
    let again = ask(&commands, Command::Open);
    let refused = ask(&commands, Command::Withdraw(1));
    let reader = {
        let commands = commands.clone();
        tokio::spawn(async move { commands.load::<Account>(&stream("a")).await })
    };
    settle().await;
    assert!(!again.is_finished() && !refused.is_finished() && !reader.is_finished(), "answered before the disk");
    store.release();
    assert!(open.await.unwrap().is_ok());
    assert_eq!(again.await.unwrap().unwrap().revision, Some(Revision(0)));
    assert!(matches!(refused.await.unwrap(), Err(CommandFault::Rejected(Rejection::Overdrawn(0)))));
    assert!(reader.await.unwrap().unwrap().state.is_open);
}

#[tokio::test]
async fn what_was_decided_on_a_failed_append_is_decided_again() {
    let (store, commands) = held();
    store.hold();
    let open = ask(&commands, Command::Open);
    queued(&store, 1).await;
    let deposit = ask(&commands, Command::Deposit(5));
    queued(&store, 2).await;
    let withdraw = ask(&commands, Command::Withdraw(9));
    settle().await;
    store.set(Faults { lost_append: 1.0, ..Faults::NONE });
    store.release();
    let lost = open.await.unwrap();
    assert!(matches!(lost, Err(CommandFault::Append(AppendFault::Unavailable(_)))), "{lost:?}");
    // The account was never opened, so the deposit fails too: its append was lost as well.
    assert!(deposit.await.unwrap().is_err());
    // Not "overdrawn": that would be an answer from a state that never was.
    assert!(matches!(withdraw.await.unwrap(), Err(CommandFault::Rejected(Rejection::NotOpen))));
}

#[tokio::test]
async fn somebody_elses_event_in_the_place_of_a_failed_one_does_not_carry_what_was_built_on_it() {
    let memory = Memory::new();
    let theirs = Commands::new(Arc::new(memory.clone()), Arc::new(SystemClock), 1 << 20);
    let store = Arc::new(FaultyStore::new(Arc::new(memory), 0, Faults::NONE));
    let ours = Commands::new(Arc::clone(&store) as Arc<dyn EventStore>, Arc::new(SystemClock), 1 << 20);
    ask(&ours, Command::Open).await.unwrap().unwrap();
    store.hold();
    let deposit = ask(&ours, Command::Deposit(5));
    queued(&store, 1).await;
    let withdraw = ask(&ours, Command::Withdraw(5));
    queued(&store, 2).await;
    // Takes revision 1, on which our withdrawal counts as being our deposit; it would overdraw the account.
    ask(&theirs, Command::Deposit(1)).await.unwrap().unwrap();
    store.release();
    deposit.await.unwrap().unwrap();
    withdraw.await.unwrap().unwrap();
    let mut account = Account::default();
    for event in theirs.store().read(&stream("a"), Revision(0), Direction::Forwards, 9).await.unwrap() {
        account.evolve(&Account::decode(&event.kind, &event.payload).unwrap());
        assert!(account.balance >= 0, "overdrawn at revision {}", event.revision);
    }
    assert_eq!((account.balance, account.changes), (1, 4));
}

#[tokio::test]
async fn a_request_that_meets_itself_on_its_way_is_a_repeat_and_not_a_rejection() {
    let (store, commands) = held();
    ask(&commands, Command::Open).await.unwrap().unwrap();
    ask(&commands, Command::Deposit(5)).await.unwrap().unwrap();
    store.hold();
    let first = order(&commands, keyed(1, "out"), Command::Withdraw(5));
    queued(&store, 1).await;
    let second = order(&commands, keyed(1, "out"), Command::Withdraw(5));
    settle().await;
    store.release();
    assert!(!first.await.unwrap().unwrap().is_repeat);
    assert!(second.await.unwrap().unwrap().is_repeat);
}

#[tokio::test]
async fn nobody_is_answered_from_a_state_in_which_a_repeat_counts_twice() {
    let (store, commands) = held();
    ask(&commands, Command::Open).await.unwrap().unwrap();
    store.hold();
    let twins = [0; 2].map(|_| order(&commands, keyed(1, "in"), Command::Deposit(5)));
    queued(&store, 2).await;
    let refused = ask(&commands, Command::Withdraw(11));
    settle().await;
    store.release();
    for twin in twins {
        assert_eq!(twin.await.unwrap().unwrap().state.balance, 5);
    }
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Err(CommandFault::Rejected(Rejection::Overdrawn(5)))), "{refused:?}");
}

#[tokio::test]
async fn an_abandoned_command_leaves_no_wrong_state_behind() {
    let (store, commands) = held();
    ask(&commands, Command::Open).await.unwrap().unwrap();
    store.hold();
    let abandoned = ask(&commands, Command::Deposit(7));
    queued(&store, 1).await;
    abandoned.abort();
    store.set(Faults { lost_append: 1.0, ..Faults::NONE });
    store.release();
    while store.waiting() > 0 {
        yield_now().await;
    }
    settle().await;
    store.set(Faults::NONE);
    assert_eq!(commands.load::<Account>(&stream("a")).await.unwrap().state.balance, 0);
    let refused = ask(&commands, Command::Withdraw(7)).await.unwrap();
    assert!(matches!(refused, Err(CommandFault::Rejected(Rejection::Overdrawn(0)))), "{refused:?}");
}
