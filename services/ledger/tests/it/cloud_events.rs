use cairn_contract::cairn::ledger::v1::{CloudEvent, ExportCloudEventsRequest};
use tonic::{Code, Streaming};

use crate::house::{ADMIN, GUEST, House, MANAGER, soon};

const RUN: &str = "projects/a/experiments/1/runs/r";

async fn export(house: &House, principal: &str, asked: ExportCloudEventsRequest) -> Streaming<CloudEvent> {
    house.client().export_cloud_events(house.of(principal, asked)).await.unwrap().into_inner()
}

async fn next(events: &mut Streaming<CloudEvent>) -> Option<CloudEvent> {
    tokio::time::timeout_at(soon(), events.message()).await.expect("an answer in time").unwrap()
}

/// Everything until the stream ends.
async fn all(mut events: Streaming<CloudEvent>) -> Vec<CloudEvent> {
    let mut found = vec![];
    while let Some(event) = next(&mut events).await {
        found.push(event);
    }
    found
}

#[tokio::test]
async fn an_export_gives_all_that_fits_as_cloud_events_and_ends() {
    let house = House::new().await;
    house.run(RUN, MANAGER).await;
    let asked = ExportCloudEventsRequest { resource: "projects/a".into(), ..Default::default() };
    let events = all(export(&house, MANAGER, asked).await).await;
    let types: Vec<_> = events.iter().filter_map(|event| event.r#type.rsplit('.').next()).collect();
    assert_eq!(types, ["ProjectCreated", "RoleGranted", "RunCreated", "RunFinished"]);
    let event = &events[2];
    assert_eq!((event.specversion.as_str(), event.datacontenttype.as_str()), ("1.0", "application/json"));
    assert_eq!((event.subject.as_str(), event.project.as_str()), (RUN, "projects/a"));
    assert_eq!((event.principal.as_str(), event.partitionkey.as_str()), (MANAGER, &*format!("experiments.run-{RUN}")));
    assert!(event.source.starts_with("https://cairn.invalid/"), "{}", event.source);
    assert!(event.data.as_ref().unwrap().fields.contains_key("display_name"));
}

#[tokio::test]
async fn an_export_ends_where_the_log_was_however_little_of_it_fits() {
    let house = House::new().await;
    let asked = ExportCloudEventsRequest { r#type: "RunFinished".into(), ..Default::default() };
    assert_eq!(all(export(&house, ADMIN, asked).await).await, []);
    let asked = ExportCloudEventsRequest { after_position: house.head().to_string(), ..Default::default() };
    assert!(all(export(&house, ADMIN, asked).await).await.len() <= 1, "at most the record of the first export");
}

#[tokio::test]
async fn an_export_that_follows_goes_on_from_where_it_was_cut_off() {
    let house = House::new().await;
    house.run(RUN, MANAGER).await;
    let asked = |after: &str| ExportCloudEventsRequest {
        category: "experiments.run".into(),
        after_position: after.into(),
        follow: true,
        ..Default::default()
    };
    let first = next(&mut export(&house, ADMIN, asked("")).await).await.unwrap();
    let mut events = export(&house, ADMIN, asked(&first.position)).await;
    assert!(next(&mut events).await.unwrap().r#type.ends_with("RunFinished"));
    house.run("projects/b/experiments/1/runs/r", ADMIN).await;
    assert!(next(&mut events).await.unwrap().r#type.ends_with("RunCreated"));
}

#[tokio::test]
async fn who_may_see_nothing_gets_no_cloud_events() {
    let house = House::new().await;
    let asked = ExportCloudEventsRequest::default();
    let refused = house.client().export_cloud_events(house.of(GUEST, asked)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
