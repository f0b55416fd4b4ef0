use cairn_contract::cairn::ledger::v1::{Event, TailEventsRequest};
use tonic::{Code, Streaming};

use crate::house::{ADMIN, GUEST, House, MANAGER, soon};

const RUN: &str = "projects/a/experiments/1/runs/r";

async fn tail(house: &House, principal: &str, asked: TailEventsRequest) -> Streaming<Event> {
    house.client().tail_events(house.of(principal, asked)).await.unwrap().into_inner()
}

/// The last part of the next event's type.
async fn next(events: &mut Streaming<Event>) -> String {
    let event = tokio::time::timeout_at(soon(), events.message()).await.expect("an event in time");
    event.unwrap().expect("the stream goes on").r#type.rsplit('.').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_tail_tells_history_then_what_happens() {
    let house = House::new().await;
    let asked = TailEventsRequest { after_position: "5".into(), ..Default::default() };
    let mut events = tail(&house, ADMIN, asked).await;
    assert_eq!([next(&mut events).await, next(&mut events).await], ["RoleGranted", "RoleGranted"]);
    house.run(RUN, MANAGER).await;
    assert_eq!([next(&mut events).await, next(&mut events).await], ["RunCreated", "RunFinished"]);
}

#[tokio::test]
async fn a_tail_begins_now_unless_asked_otherwise_and_keeps_to_its_filter() {
    let house = House::new().await;
    let asked = TailEventsRequest { r#type: "RunFinished".into(), ..Default::default() };
    let mut finished = tail(&house, ADMIN, asked).await;
    let asked = TailEventsRequest { resource: "projects/b".into(), ..Default::default() };
    let mut below_b = tail(&house, ADMIN, asked).await;
    house.run(RUN, MANAGER).await;
    house.run("projects/b/experiments/1/runs/r", ADMIN).await;
    assert_eq!([next(&mut finished).await, next(&mut finished).await], ["RunFinished", "RunFinished"]);
    assert_eq!([next(&mut below_b).await, next(&mut below_b).await], ["RunCreated", "RunFinished"]);
}

#[tokio::test]
async fn a_tail_shows_what_its_caller_may_see_and_ends_when_that_is_taken_away() {
    let house = House::new().await;
    let mut events = tail(&house, MANAGER, TailEventsRequest::default()).await;
    house.run("projects/b/experiments/1/runs/r", ADMIN).await;
    house.run(RUN, MANAGER).await;
    assert_eq!([next(&mut events).await, next(&mut events).await], ["RunCreated", "RunFinished"]);

    house.withdraw("projects/a/bindings/m", MANAGER, "roles/manager", "projects/a").await;
    house.run(RUN, ADMIN).await;
    let ended = loop {
        // The withdrawal itself may still be seen: it lies in the project.
        match tokio::time::timeout_at(soon(), events.message()).await.expect("an answer in time") {
            Ok(Some(event)) => assert!(event.r#type.ends_with("RoleWithdrawn"), "{event:?}"),
            Ok(None) => panic!("it must say why it ends"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn who_may_see_nothing_gets_no_tail() {
    let house = House::new().await;
    let refused = house.client().tail_events(house.of(GUEST, TailEventsRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_tail_that_broke_off_goes_on_without_gap_or_repeat() {
    let house = House::new().await;
    let mut seen = vec![];
    let mut after = "0".to_owned();
    // Each connection reads a little more of the log, which grows all the while.
    for length in 1..6 {
        let asked = TailEventsRequest { after_position: after.clone(), ..Default::default() };
        let mut events = tail(&house, ADMIN, asked).await;
        house.run(RUN, MANAGER).await;
        for _ in 0..length {
            let event = tokio::time::timeout_at(soon(), events.message()).await.expect("an event in time").unwrap();
            after = event.expect("the stream goes on").position;
            seen.push(after.parse::<u64>().unwrap());
        }
    }
    assert_eq!(seen, (1..=15).collect::<Vec<_>>());
}
