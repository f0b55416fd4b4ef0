use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_access::{Access, Keyring};
use cairn_kernel::{Code, Principal, SystemClock};
use cairn_service::outgoing::{Balance, Config, Outgoing, Passing, stack};
use cairn_service::telemetry::Metrics;
use cairn_service::{Refusal, refuse};
use futures::future::BoxFuture;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use tower::{Service, service_fn};

use crate::zoo::{Lion, LionRequest, about_leo, contract, path};

/// What the other side does with a call.
#[derive(Clone, Copy, Debug)]
enum Does {
    Answers,
    IsDown,
    IsBusy,
    Refuses,
    /// For whoever has used up an allowance.
    Limits,
    AnswersLate,
    Hangs,
}

/// The other side: does what the script says, call by call, and the last of it for ever.
#[derive(Clone)]
struct Upstream {
    script: Arc<Mutex<Vec<Does>>>,
    heard: Arc<Mutex<Vec<HeaderMap>>>,
}

impl NamedService for Upstream {
    const NAME: &'static str = "cairn.zoo.v1.ZooService";
}

impl Upstream {
    /// How often it was called.
    fn calls(&self) -> usize {
        self.heard.lock().len()
    }

    async fn act(self) -> Result<Response<Lion>, Status> {
        let does = {
            let mut script = self.script.lock();
            if script.len() > 1 { script.remove(0) } else { script[0] }
        };
        match does {
            Does::Answers => Ok(Response::new(Lion { seen: "fed".into() })),
            Does::IsDown => Err(Status::unavailable("down")),
            Does::IsBusy => {
                let busy = Refusal::new(Code::ResourceExhausted, "STORE_BUSY", "too many appends are waiting");
                Err(refuse(busy.after(Duration::from_millis(5))))
            }
            Does::Refuses => Err(refuse(Refusal::new(Code::NotFound, "LION_NOT_FOUND", "there is no such lion"))),
            Does::Limits => {
                let used_up =
                    Refusal::new(Code::ResourceExhausted, "RATE_LIMITED", "this project has used up its calls");
                Err(refuse(used_up.after(Duration::from_millis(5))))
            }
            Does::AnswersLate => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(Response::new(Lion { seen: "fed".into() }))
            }
            Does::Hangs => std::future::pending().await,
        }
    }
}

impl Service<http::Request<Body>> for Upstream {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.heard.lock().push(request.headers().clone());
        let upstream = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Lion, LionRequest>::default());
            Ok(grpc.unary(service_fn(move |_: Request<LionRequest>| upstream.clone().act()), request).await)
        })
    }
}

/// Quick pauses, and neither budget nor circuit in the way.
fn config() -> Config {
    Config {
        pause_ms_min: 1,
        pause_ms_max: 4,
        retries_per_second_min: 1_000,
        circuit_failures_max: 1_000,
        ..Config::default()
    }
}

struct Suite {
    address: String,
    upstream: Upstream,
    access: Arc<Access>,
    outgoing: Outgoing,
}

/// A real server on a socket, and the way to it.
async fn suite(config: &Config, script: &[Does]) -> Suite {
    let upstream = Upstream { script: Arc::new(Mutex::new(script.to_vec())), heard: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Routes::new(upstream.clone());
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(TcpListenerStream::new(listener)));
    let access = Access::fixed(Default::default(), Arc::new(SystemClock), Arc::new(Keyring::generate()));
    let balance = Balance::new(config, std::slice::from_ref(&address)).unwrap();
    let outgoing = stack(config, "zoo", balance, contract(), Arc::clone(&access), Principal::service("registry"));
    Suite { address, upstream, access, outgoing }
}

/// An address that nobody listens on.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

impl Suite {
    async fn call(&self, method: &str, request: Request<LionRequest>) -> Result<Lion, Status> {
        let mut client = tonic::client::Grpc::new(self.outgoing.clone());
        client.ready().await.unwrap();
        client.unary(request, path(method), ProstCodec::default()).await.map(Response::into_inner)
    }
}

#[tokio::test]
async fn a_read_is_tried_again_until_it_is_answered() {
    let suite = suite(&config(), &[Does::IsDown, Does::IsBusy, Does::Answers]).await;
    suite.call("GetLion", about_leo("meat")).await.unwrap();
    assert_eq!(suite.upstream.calls(), 3);
}

#[tokio::test]
async fn only_calls_that_can_be_repeated_are_s3_42() {
    let script = [Does::IsDown, Does::Answers];
    let without = suite(&config(), &script).await;
    let failed = without.call("FeedLion", about_leo("meat")).await.unwrap_err();
    assert_eq!((failed.code(), without.upstream.calls()), (tonic::Code::Unavailable, 1));

    let with = suite(&config(), &script).await;
    let mut keyed = about_leo("meat");
    keyed.get_mut().request_id = "6f1c9d3e-9c0a-4b57-a5a8-2b1c7c0c6a11".into();
    with.call("FeedLion", keyed).await.unwrap();
    assert_eq!(with.upstream.calls(), 2);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_not_tried_again() {
    for (does, code) in [(Does::Refuses, tonic::Code::NotFound), (Does::Limits, tonic::Code::ResourceExhausted)] {
        let suite = suite(&config(), &[does]).await;
        assert_eq!(suite.call("GetLion", about_leo("meat")).await.unwrap_err().code(), code);
        assert_eq!(suite.upstream.calls(), 1, "{does:?}");
    }
}

#[tokio::test]
async fn attempts_are_bounded_for_each_call_and_for_all_together_s3_42() {
    let config = Config { retry_share_max: 0.0, retries_per_second_min: 1, ..config() };
    let suite = suite(&config, &[Does::IsDown]).await;
    for _ in 0..50 {
        suite.call("GetLion", about_leo("meat")).await.unwrap_err();
    }
    // One for each second of the budget's window of ten, and no more, although each call might be tried four times.
    assert!((51..=62).contains(&suite.upstream.calls()), "{} attempts", suite.upstream.calls());
}

#[tokio::test]
async fn the_other_side_hears_who_calls_and_how_long_it_has() {
    let suite = suite(&config(), &[Does::IsDown, Does::Answers]).await;
    let mut request = about_leo("meat");
    request.set_timeout(Duration::from_secs(3));
    suite.call("GetLion", request).await.unwrap();
    let heard = suite.upstream.heard.lock().clone();
    let text = |at: usize, key: &str| heard[at].get(key).unwrap().to_str().unwrap().to_owned();
    let principal = suite.access.verify(&text(0, "cairn-principal")).unwrap();
    assert_eq!(principal.name, "services/registry");
    let left = |at| text(at, "grpc-timeout").strip_suffix('m').unwrap().parse::<u64>().unwrap();
    assert!(left(0) <= 3000 && left(1) < left(0), "{} then {}", left(0), left(1));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_retries_do_not_outlive_it() {
    let hanging = suite(&config(), &[Does::Hangs]).await;
    let mut request = about_leo("meat");
    request.set_timeout(Duration::from_millis(30));
    let late = hanging.call("GetLion", request).await.unwrap_err();
    assert_eq!(late.code(), tonic::Code::DeadlineExceeded);

    let patient = Config { pause_ms_min: 60_000, pause_ms_max: 60_000, ..config() };
    let down = suite(&patient, &[Does::IsDown]).await;
    let failed = down.call("GetLion", about_leo("meat")).await.unwrap_err();
    assert_eq!((failed.code(), down.upstream.calls()), (tonic::Code::Unavailable, 1));
}

#[test]
fn a_circuit_opens_after_failures_and_closes_after_a_good_probe_s3_43() {
    let (metrics, recorder) = Metrics::new().unwrap();
    let shown = |state: &str| {
        let text = metrics.render(None).body;
        assert!(text.contains(&format!("cairn_outgoing_circuit_state{{upstream=\"zoo\"}} {state}\n")), "{text}");
    };
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = Config { attempts_max: 1, circuit_failures_max: 3, circuit_open_ms: 50, ..config() };
            let script = [Does::IsDown, Does::IsDown, Does::IsDown, Does::Answers];
            let suite = suite(&config, &script).await;
            for _ in 0..3 {
                suite.call("GetLion", about_leo("meat")).await.unwrap_err();
            }
            let refused = suite.call("GetLion", about_leo("meat")).await.unwrap_err();
            let details = refused.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, "CIRCUIT_OPEN");
            assert_eq!(suite.upstream.calls(), 3, "nothing was tried");
            shown("2");
            // Waits as long as it was told to.
            tokio::time::sleep(details.retry_info().unwrap().retry_delay.unwrap()).await;
            suite.call("GetLion", about_leo("meat")).await.unwrap();
            assert_eq!(suite.upstream.calls(), 4);
            shown("0");
        });
    });
}

#[tokio::test]
async fn a_circuit_opens_for_what_hangs_as_for_what_fails_but_not_for_callers_that_go_away() {
    let config = Config { circuit_failures_max: 2, ..config() };
    let suite = suite(&config, &[Does::Hangs]).await;
    for _ in 0..3 {
        let gone = tokio::time::timeout(Duration::from_millis(20), suite.call("GetLion", about_leo("meat"))).await;
        assert!(gone.is_err(), "it hangs");
    }
    for _ in 0..2 {
        let mut request = about_leo("meat");
        request.set_timeout(Duration::from_millis(30));
        let late = suite.call("GetLion", request).await.unwrap_err();
        assert_eq!(late.code(), tonic::Code::DeadlineExceeded);
    }
    let refused = suite.call("GetLion", about_leo("meat")).await.unwrap_err();
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "CIRCUIT_OPEN");
}

/// Such a change may not be repeated, but what was never sent is not repeated by sending it.
#[tokio::test]
async fn a_change_that_is_passed_on_goes_to_another_process_if_the_first_cannot_be_reached() {
    let config = Config { circuit_failures_max: 2, ..config() };
    let alive = suite(&config, &[Does::Answers]).await;
    let balance = Balance::new(&config, &[nobody().await, alive.address.clone()]).unwrap();
    let passing = Passing::new(&config, "zoo", balance, contract());
    let outgoing = Outgoing::new(service_fn(move |request| passing.clone().pass(request)));
    let passed = Suite { outgoing, ..alive };
    for _ in 0..50 {
        passed.call("FeedLion", about_leo("meat")).await.unwrap();
    }
    assert_eq!(passed.upstream.calls(), 50);
}

/// One process that keeps failing shuts no door that another stands behind.
#[tokio::test]
async fn a_process_that_fails_keeps_nobody_from_one_that_does_not() {
    let config = Config { circuit_failures_max: 2, attempts_max: 1, ..config() };
    let (alive, down) = (suite(&config, &[Does::Answers]).await, suite(&config, &[Does::IsDown]).await);
    let balance = Balance::new(&config, &[down.address.clone(), alive.address.clone()]).unwrap();
    let passing = Passing::new(&config, "zoo", balance, contract());
    let outgoing = Outgoing::new(service_fn(move |request| passing.clone().pass(request)));
    let passed = Suite { outgoing, ..alive };
    let mut failures = 0;
    for _ in 0..50 {
        failures += usize::from(passed.call("FeedLion", about_leo("meat")).await.is_err());
    }
    assert_eq!((failures, passed.upstream.calls()), (2, 48));
}

#[tokio::test]
async fn what_cannot_be_reached_is_unavailable() {
    let config = config();
    let balance = Balance::new(&config, &[nobody().await]).unwrap();
    let access = Access::fixed(Default::default(), Arc::new(SystemClock), Arc::new(Keyring::generate()));
    let outgoing = stack(&config, "zoo", balance, contract(), access, Principal::service("registry"));
    let mut client = tonic::client::Grpc::new(outgoing);
    client.ready().await.unwrap();
    let answer = client.unary(about_leo("meat"), path("FeedLion"), ProstCodec::<LionRequest, Lion>::default()).await;
    assert_eq!(answer.unwrap_err().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn a_read_that_takes_long_is_asked_twice_where_that_is_wanted_and_a_change_is_not() {
    let config = Config { hedge_after_ms: 5, ..config() };
    let hedged = suite(&config, &[Does::Hangs, Does::Answers]).await;
    hedged.call("GetLion", about_leo("meat")).await.unwrap();
    assert_eq!(hedged.upstream.calls(), 2, "the second answered while the first still hung");
    let changing = suite(&config, &[Does::Hangs, Does::Answers]).await;
    let mut request = about_leo("meat");
    request.get_mut().request_id = "r-1".into();
    request.set_timeout(Duration::from_millis(50));
    assert!(changing.call("FeedLion", request).await.is_err());
    assert_eq!(changing.upstream.calls(), 1);
    let off = suite(&self::config(), &[Does::Hangs, Does::Answers]).await;
    let mut request = about_leo("meat");
    request.set_timeout(Duration::from_millis(50));
    assert!(off.call("GetLion", request).await.is_err());
    assert_eq!(off.upstream.calls(), 1, "off unless it is asked for");
}

#[tokio::test]
async fn of_an_asked_twice_read_a_failure_that_comes_first_is_no_answer() {
    let config = Config { hedge_after_ms: 5, ..config() };
    let suite = suite(&config, &[Does::AnswersLate, Does::IsDown]).await;
    suite.call("GetLion", about_leo("meat")).await.unwrap();
    assert_eq!(suite.upstream.calls(), 2);
}
