//! The gateway in front of several processes, each a server on a socket of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cairn_gateway::Config;
use cairn_service::outgoing::{self, Balance};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::things::Things;
use crate::world::{World, contract, listener};

/// What a process does with calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Answers,
    /// Takes calls, and answers them when it is let.
    Dawdles,
    Fails,
    /// Says of itself that it should get no calls, and answers those it gets.
    IsLeaving,
}

#[derive(Clone)]
struct Process {
    does: Arc<Mutex<Does>>,
    calls: Arc<AtomicUsize>,
    let_go: Arc<Semaphore>,
    things: Things,
}

impl Process {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn answer(mut self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let does = *self.does.lock();
        if request.uri().path().starts_with("/grpc.health.v1.Health/") {
            return Ok(health(does != Does::IsLeaving, request).await);
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        match does {
            Does::Fails => return Ok(Status::unavailable("out of order").into_http()),
            Does::Dawdles => drop(self.let_go.acquire().await.unwrap()),
            Does::Answers | Does::IsLeaving => {}
        }
        self.things.call(request.map(Body::new)).await
    }
}

/// What gRPC's health protocol says.
async fn health(is_well: bool, request: Request<Incoming>) -> Response<Body> {
    let (reporter, service) = tonic_health::server::health_reporter();
    let status = if is_well { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
    reporter.set_service_status("", status).await;
    let mut service = service;
    service.call(request.map(Body::new)).await.unwrap()
}

/// A process that does so, and its address.
async fn process(does: Does) -> (Process, String) {
    let things = Things::new(contract().pool().clone());
    let let_go = Arc::new(Semaphore::new(0));
    let process = Process { does: Arc::new(Mutex::new(does)), calls: Arc::default(), let_go, things };
    let (listener, address, _) = listener().await;
    let serving = process.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let process = serving.clone();
            let service = service_fn(move |request| process.clone().answer(request));
            let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (process, format!("http://{address}"))
}

/// A gateway before three processes, of which the first does so and the others answer.
async fn gateway(does: Does, config: outgoing::Config) -> (World, [Process; 3]) {
    let (world, processes, _, _) = balanced(does, config).await;
    (world, processes)
}

/// The same with the balance and the addresses, to change them.
async fn balanced(does: Does, config: outgoing::Config) -> (World, [Process; 3], Balance, [String; 3]) {
    let (first, one) = process(does).await;
    let (second, two) = process(Does::Answers).await;
    let (third, three) = process(Does::Answers).await;
    let addresses = [one, two, three];
    let balance = Balance::new(&config, &addresses).unwrap();
    let world = World::before(Config::default(), balance.clone(), first.things.clone());
    (world, [first, second, third], balance, addresses)
}

const CALLS: usize = 100;
const PATH: &str = "/api/v1/projects/a/things/b";

#[tokio::test]
async fn of_three_processes_a_slow_one_holds_up_no_more_than_it_has_in_hand_s4_88() {
    let (world, [slow, second, third]) = gateway(Does::Dawdles, outgoing::Config::default()).await;
    let mut waiting = FuturesUnordered::new();
    let mut answered = 0;
    for _ in 0..CALLS {
        waiting.push(world.get(PATH));
        // Two at a time: one of them may be with the slow one.
        if waiting.len() == 2 {
            assert_eq!(waiting.next().await.unwrap().status, StatusCode::OK);
            answered += 1;
        }
    }
    // Taking turns, a third of the calls would wait for the slow one.
    assert_eq!((answered, slow.calls()), (CALLS - 1, 1), "99 of 100 are answered before the slow one answers at all");
    assert!(second.calls().min(third.calls()) > 1, "the others share the work");
    slow.let_go.add_permits(CALLS);
    assert_eq!(waiting.next().await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn of_three_processes_one_that_fails_is_left_out_s4_88() {
    let failures_max = 5;
    let config = outgoing::Config {
        circuit_failures_max: failures_max,
        circuit_open_ms: 3_600_000,
        ..outgoing::Config::default()
    };
    let (world, [failing, ..]) = gateway(Does::Fails, config).await;
    let mut refused = 0;
    for _ in 0..CALLS {
        refused += usize::from(world.get(PATH).await.status == StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!((refused, failing.calls()), (failures_max as usize, failures_max as usize));
}

#[tokio::test]
async fn a_process_that_is_well_again_gets_calls_again() {
    let config = outgoing::Config { circuit_failures_max: 1, circuit_open_ms: 1, ..outgoing::Config::default() };
    let (world, [first, ..]) = gateway(Does::Fails, config).await;
    while first.calls() == 0 {
        world.get(PATH).await;
    }
    *first.does.lock() = Does::Answers;
    let before = first.calls();
    while first.calls() < before + 3 {
        assert_eq!(world.get(PATH).await.status, StatusCode::OK, "a probe is a call like any other");
    }
}

#[tokio::test]
async fn when_all_of_them_fail_it_is_said_when_to_come_back() {
    let config = outgoing::Config { circuit_failures_max: 1, circuit_open_ms: 60_000, ..outgoing::Config::default() };
    let (world, processes) = gateway(Does::Fails, config).await;
    for process in &processes {
        *process.does.lock() = Does::Fails;
    }
    for _ in 0..3 {
        assert_eq!(world.get(PATH).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let answer = world.get(PATH).await;
    assert_eq!(answer.json()["error"]["reason"], "CIRCUIT_OPEN");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(processes.map(|process| process.calls()), [1, 1, 1]);
}

#[tokio::test]
async fn a_process_that_says_it_is_leaving_gets_no_new_calls_until_it_is_well() {
    let config = outgoing::Config { health_interval_ms: 1, ..outgoing::Config::default() };
    let (world, [leaving, ..], balance, _) = balanced(Does::IsLeaving, config).await;
    let stop = CancellationToken::new();
    let asking = tokio::spawn({
        let (balance, stop) = (balance.clone(), stop.clone());
        async move { balance.watch_health(stop).await }
    });
    // Until it has been asked it may get some.
    loop {
        let before = leaving.calls();
        for _ in 0..3 {
            assert_eq!(world.get(PATH).await.status, StatusCode::OK);
        }
        if leaving.calls() == before {
            break;
        }
    }
    *leaving.does.lock() = Does::Answers;
    let before = leaving.calls();
    while leaving.calls() == before {
        assert_eq!(world.get(PATH).await.status, StatusCode::OK);
    }
    stop.cancel();
    asking.await.unwrap();
}

#[tokio::test]
async fn when_none_is_well_all_are_tried() {
    let config = outgoing::Config { health_interval_ms: 1, ..outgoing::Config::default() };
    let (world, processes, balance, _) = balanced(Does::IsLeaving, config).await;
    for process in &processes {
        *process.does.lock() = Does::IsLeaving;
    }
    // Long enough for some rounds, and no longer.
    let asking = balance.watch_health(CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(50), asking).await.is_err());
    assert_eq!(world.get(PATH).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_process_that_is_taken_out_finishes_what_it_has_in_hand() {
    let (world, [old, second, third], balance, [_, two, three]) =
        balanced(Does::Dawdles, outgoing::Config::default()).await;
    let mut waiting = FuturesUnordered::from_iter((0..3).map(|_| world.get(PATH)));
    for _ in 0..2 {
        assert_eq!(waiting.next().await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(old.calls(), 1, "one of three calls is in its hands");
    balance.replace(&[two, three]).unwrap();
    let before = second.calls() + third.calls();
    for _ in 0..6 {
        assert_eq!(world.get(PATH).await.status, StatusCode::OK);
    }
    assert_eq!((old.calls(), second.calls() + third.calls()), (1, before + 6), "it gets no more");
    old.let_go.add_permits(1);
    assert_eq!(waiting.next().await.unwrap().status, StatusCode::OK, "and what it had is answered");
}
