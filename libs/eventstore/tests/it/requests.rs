use cairn_eventstore::{CommandFault, EventStore, Memory};
use cairn_kernel::{Expected, Position};
use cairn_testkit::account::{Account, Command, Rejection, keyed, stream};

use crate::commands::commands;

#[tokio::test]
async fn a_request_sent_twice_is_carried_out_once_also_after_a_restart() {
    let store = Memory::new();
    let first = commands(&store);
    let a = stream("a");
    first.execute::<Account>(&keyed(1, "open"), &a, Expected::Any, Command::Open).await.unwrap();
    let paid = first.execute::<Account>(&keyed(2, "pay"), &a, Expected::Any, Command::Deposit(5)).await.unwrap();
    assert!(!paid.is_repeat);
    let restarted = commands(&store);
    for commands in [&first, &restarted] {
        let again =
            commands.execute::<Account>(&keyed(2, "pay"), &a, Expected::Any, Command::Deposit(5)).await.unwrap();
        assert!(again.is_repeat);
        assert_eq!(again.state.balance, 5);
        assert!(again.position >= paid.position);
    }
    assert_eq!(*store.head().borrow(), Position(2));
}

#[tokio::test]
async fn a_request_id_used_for_another_request_is_refused_showing_both_hashes() {
    let commands = commands(&Memory::new());
    commands.execute::<Account>(&keyed(1, "open"), &stream("a"), Expected::Any, Command::Open).await.unwrap();
    let reused = commands.execute::<Account>(&keyed(1, "other"), &stream("b"), Expected::Any, Command::Open).await;
    let Err(CommandFault::RequestReused { hash, earlier_hash }) = reused else { panic!("{reused:?}") };
    assert_eq!((hash.as_str(), earlier_hash.as_str()), ("other", "open"));
}

#[tokio::test]
async fn a_repeat_is_answered_although_the_rules_would_now_say_no() {
    let commands = commands(&Memory::new());
    let a = stream("a");
    commands.execute::<Account>(&keyed(1, "open"), &a, Expected::Any, Command::Open).await.unwrap();
    commands.execute::<Account>(&keyed(2, "in"), &a, Expected::Any, Command::Deposit(5)).await.unwrap();
    for is_repeat in [false, true] {
        let out = commands.execute::<Account>(&keyed(3, "out"), &a, Expected::Any, Command::Withdraw(5)).await.unwrap();
        assert_eq!((out.is_repeat, out.state.balance), (is_repeat, 0));
    }
    let other = commands.execute::<Account>(&keyed(4, "out"), &a, Expected::Any, Command::Withdraw(5)).await;
    assert!(matches!(other, Err(CommandFault::Rejected(Rejection::Overdrawn(0)))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_requests_that_race_are_carried_out_once() {
    let store = Memory::new();
    let replicas = [commands(&store), commands(&store)];
    let a = stream("a");
    replicas[0].execute::<Account>(&keyed(0, "open"), &a, Expected::Any, Command::Open).await.unwrap();
    for round in 1..=50 {
        let racers: Vec<_> = (0..4)
            .map(|racer| {
                let (commands, a) = (replicas[racer % 2].clone(), a.clone());
                tokio::spawn(async move {
                    commands.execute::<Account>(&keyed(round, "in"), &a, Expected::Any, Command::Deposit(1)).await
                })
            })
            .collect();
        let mut first = 0;
        for racer in racers {
            first += usize::from(!racer.await.unwrap().unwrap().is_repeat);
        }
        assert_eq!(first, 1);
    }
    assert_eq!(replicas[0].load::<Account>(&a).await.unwrap().state.balance, 50);
}
