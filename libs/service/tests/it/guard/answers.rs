use std::io;
use std::sync::Arc;
use std::time::Duration;

use cairn_service::guard::REQUEST_ID;
use cairn_service::telemetry::{Config, LogFormat, Metrics, TRACEPARENT, subscriber};
use parking_lot::Mutex;
use tonic::Code;
use tonic_types::StatusExt;

use super::reason;
use crate::zoo::{LION, Zoo, about_leo};

#[tokio::test]
async fn a_panicking_handler_is_an_internal_error_that_names_the_request() {
    let zoo = Zoo::new();
    for method in ["GetLion", "FeedLion"] {
        let mut request = about_leo("handler");
        request.metadata_mut().insert(REQUEST_ID, "r-1".parse().unwrap());
        let failed = zoo.call_as("users/keeper", method, request).await.unwrap_err();
        assert_eq!((failed.code(), reason(&failed).as_str()), (Code::Internal, "INTERNAL"));
        assert!(!failed.message().contains("lion"));
        assert_eq!(failed.get_error_details().request_info().unwrap().request_id, "r-1");
    }
    zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_given_up_at_the_deadline() {
    let zoo = Zoo::new();
    let mut request = about_leo("forever");
    request.set_timeout(Duration::from_millis(20));
    let late = zoo.call_as("users/keeper", "GetLion", request).await.unwrap_err();
    assert_eq!((late.code(), reason(&late).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn calls_on_the_way_inherit_request_trace_and_deadline() {
    let zoo = Zoo::new();
    let mut request = about_leo("onward");
    request.set_timeout(Duration::from_secs(9));
    request.metadata_mut().insert(REQUEST_ID, "r-9".parse().unwrap());
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert(TRACEPARENT, caller.parse().unwrap());
    let seen = zoo.call_as("users/keeper", "GetLion", request).await.unwrap().into_inner().seen;
    let parts: Vec<&str> = seen.split(' ').collect();
    let (digits, unit) = parts[0].split_at(parts[0].len() - 1);
    let nanos = digits.parse::<u128>().unwrap()
        * match unit {
            "n" => 1,
            "u" => 1_000,
            "m" => 1_000_000,
            other => panic!("{other}"),
        };
    assert!(nanos <= Duration::from_secs(9).as_nanos(), "{seen}");
    assert_eq!(parts[1..], ["r-9", caller]);
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_unimplemented() {
    let zoo = Zoo::new();
    let unknown = zoo.call_as("users/keeper", "TameLion", about_leo("meat")).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::Unimplemented, "METHOD_UNKNOWN"));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn parsed(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn each_call_is_one_line_with_the_cause_of_what_went_wrong_inside() {
    let lines = Lines::default();
    let writer = lines.clone();
    let config = Config { log_filter: "cairn_service=info".into(), log_format: LogFormat::Json, ..Config::default() };
    let subscriber = subscriber(&config, None, move || writer.clone()).unwrap();
    let _logging = tracing::subscriber::set_default(subscriber);

    let zoo = Zoo::new();
    let mut request = about_leo("leak");
    request.metadata_mut().insert(REQUEST_ID, "r-7".parse().unwrap());
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert(TRACEPARENT, caller.parse().unwrap());
    let failed = zoo.call_as("users/keeper", "GetLion", request).await.unwrap_err();
    assert!(!failed.message().contains("secret"), "{}", failed.message());
    zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();

    let lines = lines.parsed();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let (failed, fine) = (&lines[0], &lines[1]);
    for (key, value) in [
        ("level", "ERROR"),
        ("message", "answered"),
        ("method", "/cairn.zoo.v1.ZooService/GetLion"),
        ("resource", LION),
        ("principal", "users/keeper"),
        ("code", "INTERNAL"),
        ("reason", "INTERNAL"),
        ("request_id", "r-7"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("cause", "/var/lib/cairn/secret: no such file"),
    ] {
        assert_eq!(failed[key], value, "{key} in {failed:#}");
    }
    assert!(failed["duration_ms"].is_f64());
    assert_eq!((fine["level"].as_str(), fine["code"].as_str()), (Some("INFO"), Some("OK")));
}

#[tokio::test]
async fn bodies_are_logged_at_debug_only_and_without_their_secrets() {
    let lines = Lines::default();
    let writer = lines.clone();
    let config = Config { log_filter: "cairn_service=debug".into(), log_format: LogFormat::Json, ..Config::default() };
    let subscriber = subscriber(&config, None, move || writer.clone()).unwrap();
    let _logging = tracing::subscriber::set_default(subscriber);
    Zoo::new().call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
    let answered = lines.parsed().into_iter().filter(|line| line["message"] == "answered").collect::<Vec<_>>();
    let [line] = answered.as_slice() else { panic!("one line for one call: {answered:?}") };
    let body = line["request"].as_str().unwrap();
    assert!(body.contains("meat") && body.contains("[hidden]") && !body.contains("s3cr3t"), "{body}");
    assert_eq!(line["decision_id"].as_str().unwrap().len(), 36, "leads to the audit log");
}

#[test]
fn calls_are_counted_by_method_and_code() {
    let (metrics, recorder) = Metrics::new().unwrap();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let zoo = Zoo::new();
            zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
            zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
            zoo.call_as("users/visitor", "GetLion", about_leo("meat")).await.unwrap_err();
            // A stream is counted when it ends, with what it ends.
            let mut stream = zoo.watch_as("users/keeper", about_leo("meat")).await.unwrap().into_inner();
            while let Ok(Some(_)) = stream.message().await {}
            drop(zoo.watch_as("users/keeper", about_leo("meat")).await.unwrap());
        });
    });
    let text = metrics.render(None).body;
    for (method, code, count) in [
        ("GetLion", "OK", 2),
        ("GetLion", "PERMISSION_DENIED", 1),
        ("WatchLion", "UNAVAILABLE", 1),
        ("WatchLion", "CANCELLED", 1),
    ] {
        let labels = format!("method=\"/cairn.zoo.v1.ZooService/{method}\",code=\"{code}\"");
        assert!(text.contains(&format!("cairn_rpc_requests_total{{{labels}}} {count}\n")), "{labels}\n{text}");
        assert!(text.contains(&format!("cairn_rpc_duration_seconds_count{{{labels}}} {count}\n")), "{labels}\n{text}");
    }
}
