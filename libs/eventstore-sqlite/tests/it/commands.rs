//! Commands on this backend.

use std::sync::Arc;

use cairn_eventstore::{CommandFault, Commands, EventStore, Order};
use cairn_eventstore_sqlite::Sqlite;
use cairn_kernel::{Expected, Position, SystemClock};
use cairn_testkit::account::{Account, Command, Rejection, keyed, stream};

use crate::support::Place;

fn commands(store: &Arc<Sqlite>) -> Commands {
    Commands::new(Arc::clone(store) as Arc<dyn EventStore>, Arc::new(SystemClock), 1 << 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_of_one_stream_never_overdraw_it() {
    let place = Place::new();
    let store = place.open(&place.config());
    // Two replicas that know nothing of each other beside the store.
    let replicas = [commands(&store), commands(&store)];
    let order = Order::default();
    replicas[0].execute::<Account>(&order, &stream("a"), Expected::NoStream, Command::Open).await.unwrap();
    replicas[1].execute::<Account>(&order, &stream("a"), Expected::Any, Command::Deposit(200)).await.unwrap();
    let clients: Vec<_> = (0..300)
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
    assert_eq!(served, 200);
    assert_eq!(*store.head().borrow(), Position(202));
}

#[tokio::test]
async fn a_request_sent_again_after_a_crash_is_carried_out_once() {
    let place = Place::new();
    let store = place.open(&place.config());
    let before = commands(&store);
    before.execute::<Account>(&keyed(1, "open"), &stream("a"), Expected::Any, Command::Open).await.unwrap();
    let paid = before.execute::<Account>(&keyed(2, "pay"), &stream("a"), Expected::Any, Command::Deposit(5)).await;
    let crashed = place.crashed();
    let after = commands(&crashed.open(&crashed.config()));
    let again = after.execute::<Account>(&keyed(2, "pay"), &stream("a"), Expected::Any, Command::Deposit(5)).await;
    let (paid, again) = (paid.unwrap(), again.unwrap());
    assert_eq!((again.is_repeat, again.state.balance), (true, 5));
    assert_eq!((again.position, again.revision), (paid.position, paid.revision));
    let reused = after.execute::<Account>(&keyed(2, "other"), &stream("a"), Expected::Any, Command::Deposit(6)).await;
    assert!(matches!(reused, Err(CommandFault::RequestReused { .. })), "{reused:?}");
}
