use std::sync::Arc;

use cairn_eventstore::{
    CommandFault, Commands, Direction, EventStore, Memory, NewEvent, Order, Snapshot, Stored, Write,
};
use cairn_kernel::{Expected, Position, Revision, SystemClock};
use cairn_testkit::account::{Account, Command, Event, Rejection, stream};
use uuid::Uuid;

pub fn commands(store: &Memory) -> Commands {
    Commands::new(Arc::new(store.clone()), Arc::new(SystemClock), 1 << 20)
}

async fn run(commands: &Commands, id: &str, command: Command) -> cairn_eventstore::Done<Account> {
    commands.execute::<Account>(&Order::default(), &stream(id), Expected::Any, command).await.unwrap()
}

#[tokio::test]
async fn a_command_appends_what_was_decided_and_answers_with_its_position() {
    let store = Memory::new();
    let commands = commands(&store);
    let opened = run(&commands, "a", Command::Open).await;
    let paid = run(&commands, "a", Command::Deposit(5)).await;
    assert_eq!((opened.position, paid.position), (Position(1), Position(2)));
    assert_eq!(paid.revision, Some(Revision(1)));
    assert_eq!(paid.state.balance, 5);
    assert!(!paid.is_repeat);
    let stored = store.read(&stream("a"), Revision(0), Direction::Forwards, 10).await.unwrap();
    let kinds: Vec<&str> = stored.iter().map(|event| &*event.kind).collect();
    assert_eq!(kinds, ["test.events.v1.Opened", "test.events.v1.Deposited"]);
}

#[tokio::test]
async fn a_command_that_changes_nothing_answers_with_a_position_that_reads_its_state() {
    let store = Memory::new();
    let commands = commands(&store);
    run(&commands, "a", Command::Open).await;
    run(&commands, "b", Command::Open).await;
    let again = run(&commands, "a", Command::Open).await;
    assert!(again.position >= Position(1));
    assert_eq!(*store.head().borrow(), Position(2));
}

#[tokio::test]
async fn a_rejection_appends_nothing() {
    let store = Memory::new();
    let commands = commands(&store);
    let refused =
        commands.execute::<Account>(&Order::default(), &stream("a"), Expected::Any, Command::Deposit(1)).await;
    assert!(matches!(refused, Err(CommandFault::Rejected(Rejection::NotOpen))), "{refused:?}");
    assert_eq!(*store.head().borrow(), Position::START);
}

#[tokio::test]
async fn a_stale_etag_is_told_from_a_lost_race() {
    let store = Memory::new();
    let commands = commands(&store);
    run(&commands, "a", Command::Open).await;
    run(&commands, "a", Command::Deposit(1)).await;
    let etag = Expected::Exactly(Revision(0));
    let stale = commands.execute::<Account>(&Order::default(), &stream("a"), etag, Command::Deposit(1)).await;
    assert!(
        matches!(&stale, Err(CommandFault::Stale { actual: Some(Revision(1)), .. })),
        "answered {stale:?} to a stale etag"
    );
    let etag = Expected::Exactly(Revision(1));
    let fresh = commands.execute::<Account>(&Order::default(), &stream("a"), etag, Command::Deposit(1)).await;
    assert_eq!(fresh.unwrap().revision, Some(Revision(2)));
}

#[tokio::test]
async fn what_others_wrote_is_seen_by_commands_rejections_and_loads() {
    let store = Memory::new();
    let (ours, theirs) = (commands(&store), commands(&store));
    run(&ours, "a", Command::Open).await;
    run(&theirs, "a", Command::Deposit(10)).await;
    // Ours still has the empty account in its cache: a rejection must not be answered from it.
    assert_eq!(run(&ours, "a", Command::Withdraw(7)).await.state.balance, 3);
    run(&theirs, "a", Command::Deposit(1)).await;
    assert_eq!(ours.load::<Account>(&stream("a")).await.unwrap().state.balance, 4);
    run(&ours, "a", Command::Deposit(1)).await;
    assert_eq!(run(&theirs, "a", Command::Withdraw(5)).await.state.balance, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_of_one_stream_never_overdraw_it() {
    let store = Memory::new();
    let replicas = [commands(&store), commands(&store)];
    run(&replicas[0], "a", Command::Open).await;
    run(&replicas[0], "a", Command::Deposit(100)).await;
    let clients: Vec<_> = (0..150)
        .map(|client| {
            let commands = replicas[client % 2].clone();
            tokio::spawn(async move {
                loop {
                    let order = Order::default();
                    match commands.execute::<Account>(&order, &stream("a"), Expected::Any, Command::Withdraw(1)).await {
                        Ok(_) => return true,
                        Err(CommandFault::Rejected(Rejection::Overdrawn(0))) => return false,
                        Err(CommandFault::Contended { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    let mut served = 0;
    for client in clients {
        served += usize::from(client.await.unwrap());
    }
    assert_eq!(served, 100);
    assert_eq!(*store.head().borrow(), Position(102));
}

#[tokio::test]
async fn a_long_stream_is_loaded_from_its_snapshot() {
    let store = Memory::new();
    let writer = commands(&store);
    run(&writer, "a", Command::Open).await;
    for _ in 0..300 {
        run(&writer, "a", Command::Deposit(1)).await;
    }
    let snapshot = store.snapshot(&stream("a")).await.unwrap().expect("a snapshot of a long stream");
    assert!(snapshot.revision >= Revision(200), "taken at {}", snapshot.revision);
    // A snapshot that differs from the history shows that it is used at all, and only in its own shape.
    let forged = Account { balance: 1_000_000, is_open: true, changes: 0 };
    let state = forged.freeze();
    store.keep_snapshot(&stream("a"), Snapshot { state, ..snapshot.clone() }).await;
    let tail = 300 - i64::try_from(snapshot.revision.0).unwrap();
    assert_eq!(commands(&store).load::<Account>(&stream("a")).await.unwrap().state.balance, 1_000_000 + tail);
    store.keep_snapshot(&stream("a"), Snapshot { schema: "another".into(), ..snapshot }).await;
    assert_eq!(commands(&store).load::<Account>(&stream("a")).await.unwrap().state.balance, 300);
}

#[tokio::test]
async fn an_append_that_follows_another_event_than_the_last_is_refused() {
    let store = Memory::new();
    let event = |id| NewEvent {
        id: Uuid::from_u128(id),
        kind: "t.X".into(),
        payload: Account::encode(&Event::Opened).1,
        metadata: bytes::Bytes::new(),
    };
    store.append(vec![Write::new(stream("a"), Expected::NoStream, vec![event(1)])]).await.unwrap();
    let at = Expected::Exactly(Revision(0));
    let follows = |id| Some(Uuid::from_u128(id));
    let other = Write { follows: follows(9), ..Write::new(stream("a"), at, vec![event(2)]) };
    assert!(store.append(vec![other]).await.is_err());
    let same = Write { follows: follows(1), ..Write::new(stream("a"), at, vec![event(2)]) };
    assert!(store.append(vec![same]).await.is_ok());
}

#[test]
fn commands_can_be_awaited_from_any_thread() {
    fn is_send<T: Send>(_: T) {}
    let commands = commands(&Memory::new());
    is_send(commands.execute::<Account>(&Order::default(), &stream("a"), Expected::Any, Command::Open));
    is_send(commands.load::<Account>(&stream("a")));
    is_send(commands.transact::<Rejection, _, _, _>(&Order::default(), |mut work| async move {
        work.decide::<Account>(&stream("a"), Expected::Any, Command::Open).await?;
        Ok(((), work))
    }));
}
