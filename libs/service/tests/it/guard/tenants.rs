use std::time::Duration;

use cairn_access::{Change, ProjectQuota};
use cairn_kernel::Position;
use cairn_service::guard::Limits;
use tonic_types::StatusExt;

use super::reason;
use crate::zoo::{self, LionRequest, Zoo, about_leo};

fn prices() -> tonic::Request<LionRequest> {
    tonic::Request::new(LionRequest::default())
}

#[tokio::test]
async fn a_project_has_an_allowance_that_only_its_own_callers_use_up() {
    let zoo = Zoo::with_limits(Limits { project_rate_max: 2, project_burst_seconds: 1, ..Limits::default() });
    for _ in 0..10 {
        let refused = zoo.call_as("users/visitor", "GetLion", about_leo("meat")).await.unwrap_err();
        assert_eq!(reason(&refused), "ACCESS_DENIED");
    }
    for _ in 0..2 {
        zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
    }
    let refused = zoo.call_as("users/keeper", "FeedLion", about_leo("meat")).await.unwrap_err();
    assert_eq!(reason(&refused), "RATE_LIMITED");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["tenant"], "projects/fraud");
    let delay = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(Duration::ZERO < delay && delay <= Duration::from_secs(1), "{delay:?}");
    zoo.call_as("users/keeper", "ShowPrices", prices()).await.unwrap();
}

#[tokio::test]
async fn a_projects_quota_says_how_often_it_may_be_sent_requests() {
    let mut world = zoo::world();
    let quota = ProjectQuota { requests_per_second: Some(2), ..ProjectQuota::default() };
    world.apply(Change::QuotaSet { project: "projects/fraud".parse().unwrap(), quota }, Position(9));
    let zoo = Zoo::with_world(world, Limits { project_burst_seconds: 1, ..Limits::default() });
    for _ in 0..2 {
        zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
    }
    let refused = zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap_err();
    assert_eq!(reason(&refused), "RATE_LIMITED");
    zoo.call_as("users/keeper", "ShowPrices", prices()).await.unwrap();
}

#[tokio::test]
async fn when_all_places_are_taken_calls_wait_and_streams_do_not() {
    let zoo = Zoo::with_limits(Limits { calls_at_once_max: 1, ..Limits::default() });
    let running = zoo.call_as("users/keeper", "FeedLion", about_leo("gate"));
    let waiting = async {
        zoo.gate.entered.notified().await;
        let waiting = zoo.call_as("users/keeper", "GetLion", about_leo("meat"));
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        let mut stream = zoo.watch_as("users/keeper", about_leo("meat")).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some(), "a stream takes no place");
        zoo.gate.open.notify_one();
        waiting.await
    };
    let (running, waited) = tokio::join!(running, waiting);
    assert!(running.is_ok() && waited.is_ok());
}

#[tokio::test]
async fn who_waits_for_a_place_longer_than_their_deadline_gives_up_the_turn() {
    let zoo = Zoo::with_limits(Limits { calls_at_once_max: 1, ..Limits::default() });
    let running = zoo.call_as("users/keeper", "FeedLion", about_leo("gate"));
    let waiting = async {
        zoo.gate.entered.notified().await;
        let mut request = about_leo("meat");
        request.set_timeout(Duration::from_millis(20));
        let late = zoo.call_as("users/keeper", "GetLion", request).await.unwrap_err();
        zoo.gate.open.notify_one();
        late
    };
    let (running, late) = tokio::join!(running, waiting);
    running.unwrap();
    assert_eq!(reason(&late), "DEADLINE_EXCEEDED");
    zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
}
