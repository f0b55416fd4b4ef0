//! Commands against a store that delays, refuses and loses answers, held against a model.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cairn_eventstore::{AppendFault, CommandFault, Commands, Direction, EventStore, Filter, Memory, Recorded, Stored};
use cairn_kernel::{Aggregate, Expected, Position, SystemClock};
use cairn_testkit::account::{Account, Command, Rejection, keyed, stream};
use cairn_testkit::{Faults, FaultyStore};
use proptest::prelude::*;

const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

/// What a client asks for, with an id and a hash of its own.
#[derive(Clone, Debug)]
enum Request {
    Deposit { to: usize, amount: i64 },
    Withdraw { from: usize, amount: i64 },
    Transfer { from: usize, to: usize, amount: i64 },
}

fn request() -> impl Strategy<Value = Request> {
    let account = 0..ACCOUNTS.len();
    let amount = 1..20i64;
    prop_oneof![
        (account.clone(), amount.clone()).prop_map(|(to, amount)| Request::Deposit { to, amount }),
        (account.clone(), amount.clone()).prop_map(|(from, amount)| Request::Withdraw { from, amount }),
        (account, 1..ACCOUNTS.len(), amount).prop_map(|(from, step, amount)| Request::Transfer {
            from,
            to: (from + step) % ACCOUNTS.len(),
            amount
        }),
    ]
}

/// What a request changes, by account.
fn effect(request: &Request) -> Vec<(usize, i64)> {
    match *request {
        Request::Deposit { to, amount } => vec![(to, amount)],
        Request::Withdraw { from, amount } => vec![(from, -amount)],
        Request::Transfer { from, to, amount } => vec![(from, -amount), (to, amount)],
    }
}

async fn send(commands: &Commands, id: u128, request: &Request) -> Result<(), CommandFault<Rejection>> {
    let order = keyed(id, &id.to_string());
    let single = |account: usize, command| {
        let (order, commands) = (order.clone(), commands.clone());
        async move {
            let done = commands.execute::<Account>(&order, &stream(ACCOUNTS[account]), Expected::Any, command).await;
            done.map(drop)
        }
    };
    match *request {
        Request::Deposit { to, amount } => single(to, Command::Deposit(amount)).await,
        Request::Withdraw { from, amount } => single(from, Command::Withdraw(amount)).await,
        Request::Transfer { from, to, amount } => {
            let transfer = commands.transact(&order, |mut work| async move {
                let (from, to) = (stream(ACCOUNTS[from]), stream(ACCOUNTS[to]));
                work.decide::<Account>(&from, Expected::Any, Command::Withdraw(amount)).await?;
                work.decide::<Account>(&to, Expected::Any, Command::Deposit(amount)).await?;
                Ok(((), work))
            });
            transfer.await.map(drop)
        }
    }
}

/// Sends a request until it is carried out or refused. `true`: carried out.
async fn insist(commands: &Commands, id: u128, request: &Request) -> bool {
    loop {
        match send(commands, id, request).await {
            Ok(()) => return true,
            Err(CommandFault::Rejected(_)) => return false,
            Err(CommandFault::Append(AppendFault::Invalid(why))) => panic!("{why}"),
            Err(CommandFault::Append(_) | CommandFault::Read(_) | CommandFault::Contended { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

async fn log(memory: &Memory) -> Vec<Arc<Recorded>> {
    let page = memory.read_all(Position::START, Direction::Forwards, &Filter::all(), usize::MAX).await;
    page.unwrap().events
}

async fn run(seed: u64, clients: Vec<Vec<Request>>) {
    let memory = Memory::new();
    let replicas: Vec<Commands> = (0..2)
        .map(|replica| {
            let store = FaultyStore::new(Arc::new(memory.clone()), seed ^ replica, Faults::default());
            // A small cache, so that states are evicted in between.
            Commands::new(Arc::new(store), Arc::new(SystemClock), 1_500)
        })
        .collect();
    let calm = Commands::new(Arc::new(memory.clone()), Arc::new(SystemClock), 0);
    for (n, account) in ACCOUNTS.into_iter().enumerate() {
        let order = keyed(1_000_000 + n as u128, "open");
        calm.execute::<Account>(&order, &stream(account), Expected::NoStream, Command::Open).await.unwrap();
    }
    let mut tasks = vec![];
    let mut requests = HashMap::new();
    for (client, script) in clients.into_iter().enumerate() {
        let commands = replicas[client % replicas.len()].clone();
        let script: Vec<(u128, Request)> =
            script.into_iter().enumerate().map(|(n, request)| ((client * 1_000 + n) as u128, request)).collect();
        requests.extend(script.iter().map(|(id, request)| (id.to_string(), request.clone())));
        tasks.push(tokio::spawn(async move {
            let mut outcomes = vec![];
            for (id, request) in script {
                outcomes.push((id.to_string(), insist(&commands, id, &request).await));
            }
            outcomes
        }));
    }
    let mut outcomes: BTreeMap<String, bool> = BTreeMap::new();
    for task in tasks {
        outcomes.extend(task.await.unwrap());
    }
    check(&log(&memory).await, &requests, &outcomes);
    for account in ACCOUNTS {
        let loaded = calm.load::<Account>(&stream(account)).await.unwrap();
        let replayed = replay(&log(&memory).await, account);
        assert_eq!(*loaded.state, replayed, "the fold of {account} differs from its history");
    }
}

fn replay(log: &[Arc<Recorded>], account: &str) -> Account {
    let mut state = Account::default();
    for event in log.iter().filter(|event| event.stream == stream(account)) {
        state.evolve(&Account::decode(&event.kind, &event.payload).unwrap());
        assert!(state.balance >= 0, "{account} was overdrawn at {}", event.position);
    }
    state
}

fn check(log: &[Arc<Recorded>], requests: &HashMap<String, Request>, outcomes: &BTreeMap<String, bool>) {
    let mut events: HashMap<String, usize> = HashMap::new();
    for event in log {
        *events.entry(event.metadata().request_hash.unwrap()).or_default() += 1;
    }
    let mut balances = [0; ACCOUNTS.len()];
    for (id, &is_done) in outcomes {
        let effect = effect(&requests[id]);
        let expected = if is_done { effect.len() } else { 0 };
        let found = events.get(id).copied().unwrap_or(0);
        assert_eq!(found, expected, "request {id} ({:?}), done: {is_done}", requests[id]);
        if is_done {
            effect.into_iter().for_each(|(account, change)| balances[account] += change);
        }
    }
    for (account, balance) in ACCOUNTS.into_iter().zip(balances) {
        assert_eq!(replay(log, account).balance, balance, "balance of {account}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_nothing_is_doubled_and_nothing_refused_is_there(
        seed: u64,
        clients in prop::collection::vec(prop::collection::vec(request(), 1..12), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(seed, clients));
    }
}
