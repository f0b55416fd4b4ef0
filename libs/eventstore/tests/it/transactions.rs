use cairn_eventstore::{CommandFault, Commands, EventStore, Memory, Order};
use cairn_kernel::{Expected, Position};
use cairn_testkit::account::{Account, Command, Rejection, keyed, stream};

use crate::commands::commands;

type Fault = CommandFault<Rejection>;

async fn transfer(commands: &Commands, order: &Order, from: &str, to: &str) -> Result<((i64, i64), Position), Fault> {
    let (from, to) = (stream(from), stream(to));
    commands
        .transact(order, |mut work| {
            let (from, to) = (from.clone(), to.clone());
            async move {
                let source = work.decide::<Account>(&from, Expected::Any, Command::Withdraw(1)).await?;
                let target = work.decide::<Account>(&to, Expected::Any, Command::Deposit(1)).await?;
                Ok(((source.balance, target.balance), work))
            }
        })
        .await
}

async fn open(commands: &Commands, id: &str, amount: i64) {
    let order = Order::default();
    commands.execute::<Account>(&order, &stream(id), Expected::NoStream, Command::Open).await.unwrap();
    commands.execute::<Account>(&order, &stream(id), Expected::Any, Command::Deposit(amount)).await.unwrap();
}

#[tokio::test]
async fn a_transaction_changes_all_its_streams_or_none() {
    let store = Memory::new();
    let commands = commands(&store);
    open(&commands, "a", 1).await;
    let refused = transfer(&commands, &Order::default(), "a", "b").await;
    assert!(matches!(refused, Err(CommandFault::Rejected(Rejection::NotOpen))), "{refused:?}");
    assert_eq!(commands.load::<Account>(&stream("a")).await.unwrap().state.balance, 1);
    open(&commands, "b", 1).await;
    let (balances, position) = transfer(&commands, &Order::default(), "a", "b").await.unwrap();
    assert_eq!((balances, position), ((0, 2), Position(6)));
}

#[tokio::test]
async fn several_decisions_on_one_stream_build_on_each_other() {
    let commands = commands(&Memory::new());
    open(&commands, "a", 3).await;
    let a = stream("a");
    let order = Order::default();
    let drained = commands.transact::<Rejection, _, _, _>(&order, |mut work| {
        let a = a.clone();
        async move {
            work.decide::<Account>(&a, Expected::Any, Command::Withdraw(2)).await?;
            let after = work.decide::<Account>(&a, Expected::Any, Command::Withdraw(1)).await?;
            Ok((after.balance, work))
        }
    });
    assert_eq!(drained.await.unwrap().0, 0);
    assert_eq!(commands.load::<Account>(&a).await.unwrap().state.balance, 0);
}

#[tokio::test]
async fn a_transaction_is_decided_again_when_a_witnessed_stream_moves() {
    let store = Memory::new();
    let (ours, theirs) = (commands(&store), commands(&store));
    open(&ours, "rule", 1).await;
    open(&ours, "a", 0).await;
    let attempts = std::sync::atomic::AtomicU32::new(0);
    let (seen, _) = ours
        .transact::<Rejection, _, _, _>(&Order::default(), |mut work| {
            let attempt = attempts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let theirs = theirs.clone();
            async move {
                let rule = work.witness::<Account>(&stream("rule")).await?;
                if attempt == 0 {
                    let order = Order::default();
                    theirs.execute::<Account>(&order, &stream("rule"), Expected::Any, Command::Deposit(8)).await?;
                }
                work.decide::<Account>(&stream("a"), Expected::Any, Command::Deposit(rule.state.balance)).await?;
                Ok((rule.state.balance, work))
            }
        })
        .await
        .unwrap();
    assert_eq!(seen, 9);
    assert_eq!(ours.load::<Account>(&stream("a")).await.unwrap().state.balance, 9);
}

#[tokio::test]
async fn a_transaction_sent_twice_is_carried_out_once_and_answers_from_the_state_of_now() {
    let store = Memory::new();
    let commands_of = || commands(&store);
    let first = commands_of();
    open(&first, "a", 1).await;
    open(&first, "b", 1).await;
    let (balances, position) = transfer(&first, &keyed(7, "t"), "a", "b").await.unwrap();
    for commands in [first, commands_of()] {
        let (again, reads) = transfer(&commands, &keyed(7, "t"), "a", "b").await.unwrap();
        assert_eq!(again, balances);
        assert!(reads >= position);
    }
    assert_eq!(*store.head().borrow(), Position(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_that_cross_keep_the_sum_and_never_deadlock() {
    let store = Memory::new();
    let replicas = [commands(&store), commands(&store)];
    open(&replicas[0], "a", 50).await;
    open(&replicas[0], "b", 50).await;
    let clients: Vec<_> = (0..100)
        .map(|client| {
            let commands = replicas[client % 2].clone();
            let (from, to) = if client % 3 == 0 { ("a", "b") } else { ("b", "a") };
            tokio::spawn(async move {
                while let Err(fault) = transfer(&commands, &Order::default(), from, to).await {
                    match fault {
                        CommandFault::Contended { .. } => {}
                        CommandFault::Rejected(Rejection::Overdrawn(0)) => return,
                        other => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let [a, b] = [stream("a"), stream("b")];
    let (a, b) = (replicas[0].load::<Account>(&a).await.unwrap(), replicas[1].load::<Account>(&b).await.unwrap());
    assert_eq!(a.state.balance + b.state.balance, 100);
    assert!(a.state.balance >= 0 && b.state.balance >= 0);
}
