use std::collections::BTreeMap;

use cairn_contract::cairn::auth::events::v1::{ApiKeyCreated, KeyDigest};
use cairn_contract::cairn::experiments::events::v1::RunTagsSet;
use cairn_contract::cairn::ledger::v1::{
    Event, ListAuditRecordsRequest, ListEventsRequest, Order, ReadResourceHistoryRequest,
};
use prost_types::value::Kind;
use tonic::Code;

use crate::house::{ADMIN, GUEST, House, MANAGER, soon};

const RUN: &str = "projects/a/experiments/1/runs/r";

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.r#type.rsplit('.').next().unwrap()).collect()
}

async fn events(house: &House, principal: &str, asked: ListEventsRequest) -> Vec<Event> {
    house.client().list_events(house.of(principal, asked)).await.unwrap().into_inner().events
}

#[tokio::test]
async fn events_are_found_by_resource_stream_category_type_and_position() {
    let house = House::new().await;
    house.run(RUN, MANAGER).await;
    let ask = ListEventsRequest::default;
    for (asked, expected) in [
        (ListEventsRequest { r#type: "RunCreated".into(), ..ask() }, vec!["RunCreated"]),
        (
            ListEventsRequest { r#type: "cairn.auth.events.v1.ProjectCreated".into(), ..ask() },
            vec!["ProjectCreated"; 2],
        ),
        (ListEventsRequest { r#type: "NoSuchThing".into(), ..ask() }, vec![]),
        (ListEventsRequest { category: "experiments.run".into(), ..ask() }, vec!["RunFinished", "RunCreated"]),
        (ListEventsRequest { stream: format!("experiments.run-{RUN}"), ..ask() }, vec!["RunFinished", "RunCreated"]),
        (ListEventsRequest { stream: "experiments.run-none".into(), ..ask() }, vec![]),
        (ListEventsRequest { resource: "projects/b".into(), ..ask() }, vec!["ProjectCreated"]),
        (ListEventsRequest { after_position: "7".into(), ..ask() }, vec!["RunFinished", "RunCreated"]),
        (
            ListEventsRequest { after_position: "6".into(), order: Order::OldestFirst.into(), ..ask() },
            vec!["RoleGranted", "RunCreated", "RunFinished"],
        ),
    ] {
        assert_eq!(kinds(&events(&house, ADMIN, asked.clone()).await), expected, "{asked:?}");
    }
    let refused = ListEventsRequest { after_position: "seven".into(), ..ask() };
    let refused = house.client().list_events(house.of(ADMIN, refused)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_caller_lists_events_where_they_may_look_and_nothing_else() {
    let house = House::new().await;
    house.run(RUN, MANAGER).await;
    let seen = events(&house, MANAGER, ListEventsRequest::default()).await;
    assert_eq!(kinds(&seen), ["RunFinished", "RunCreated", "RoleGranted", "ProjectCreated"]);
    let stream = ListEventsRequest { stream: "auth.user-users/guest".into(), ..Default::default() };
    assert_eq!(kinds(&events(&house, ADMIN, stream.clone()).await), ["UserCreated"]);
    assert_eq!(events(&house, MANAGER, stream).await, []);
}

#[tokio::test]
async fn the_history_of_a_resource_tells_who_did_what_when_in_order() {
    let house = House::new().await;
    house.run(RUN, MANAGER).await;
    house.run("projects/a/experiments/1/runs/r/logs/l", ADMIN).await;
    let ask = ReadResourceHistoryRequest { name: RUN.into(), page_size: 1, ..Default::default() };
    let first = house.client().read_resource_history(house.of(MANAGER, ask.clone())).await.unwrap().into_inner();
    assert_eq!(kinds(&first.events), ["RunCreated"]);
    let created = &first.events[0];
    assert_eq!((created.principal.as_str(), created.revision.as_str()), (MANAGER, "0"));
    let data = created.data.as_ref().unwrap();
    assert_eq!(data.fields["display_name"].kind, Some(Kind::StringValue("first try".into())));

    let next = ReadResourceHistoryRequest { page_token: first.next_page_token, page_size: 50, ..ask.clone() };
    let rest = house.client().read_resource_history(house.of(MANAGER, next)).await.unwrap().into_inner();
    assert_eq!((kinds(&rest.events), rest.next_page_token.as_str()), (vec!["RunFinished"], ""));

    let elsewhere = ReadResourceHistoryRequest { name: "projects/b".into(), ..Default::default() };
    let refused = house.client().read_resource_history(house.of(MANAGER, elsewhere)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn whoever_may_read_a_resource_is_told_its_history_but_not_about_the_requests() {
    let house = House::new().await;
    house.run(RUN, MANAGER).await;
    let position = house.grant("projects/a/bindings/v", GUEST, "roles/viewer", "projects/a").await;
    house.access.reached(position, soon()).await.unwrap();
    let ask = |name: &str| ReadResourceHistoryRequest { name: name.into(), ..Default::default() };

    let told = house.client().read_resource_history(house.of(GUEST, ask(RUN))).await.unwrap().into_inner().events;
    assert_eq!(kinds(&told), ["RunCreated", "RunFinished"]);
    assert!(told[0].event_time.is_some() && told[0].data.is_some(), "when and what");
    assert_eq!((told[0].principal.as_str(), told[0].resource.as_str()), (MANAGER, RUN), "who, and on what");
    for event in &told {
        let about_the_request = [&event.request_id, &event.decision_id, &event.source_address, &event.correlation_id];
        assert_eq!(about_the_request, ["", "", "", ""]);
    }
    let whole = house.client().read_resource_history(house.of(MANAGER, ask(RUN))).await.unwrap().into_inner().events;
    assert_eq!(whole[0].source_address, "10.0.0.7", "those who may read the log are told all");

    // What they may not read, or what cannot be read by its name, has no history for them; nor has the log.
    for name in ["projects/a/bindings/v", "projects/b", "projects/a/unheard/of", "users/admin", "*"] {
        let refused = house.client().read_resource_history(house.of(GUEST, ask(name))).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{name}");
    }
    let refused = house.client().list_events(house.of(GUEST, ListEventsRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let oneself = house.client().read_resource_history(house.of(GUEST, ask(GUEST))).await.unwrap().into_inner();
    assert_eq!(kinds(&oneself.events), ["UserCreated"]);
}

#[tokio::test]
async fn a_page_of_large_events_ends_early_and_the_next_goes_on() {
    let house = House::new().await;
    for _ in 0..40 {
        let tags = BTreeMap::from([("note".to_owned(), "x".repeat(100_000))]);
        house.record("experiments.run", RUN, ADMIN, &RunTagsSet { run: RUN.into(), tags }).await;
    }
    let (mut pages, mut seen) = (0, vec![]);
    let mut asked = ListEventsRequest { resource: RUN.into(), page_size: 1000, ..Default::default() };
    loop {
        let page = house.client().list_events(house.of(ADMIN, asked.clone())).await.unwrap().into_inner();
        pages += 1;
        seen.extend(page.events.into_iter().map(|event| event.position));
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = page.next_page_token;
    }
    let all: Vec<_> = (8..48).rev().map(|position: u64| position.to_string()).collect();
    assert_eq!(seen, all);
    assert_eq!(pages, 2, "four megabytes, two at a time");
}

#[tokio::test]
async fn sensitive_fields_are_hidden_from_everybody() {
    let house = House::new().await;
    let digest = KeyDigest { digest: b"do not show".to_vec().into(), pepper: "p".into(), ..Default::default() };
    let created = ApiKeyCreated { key: "users/guest/apiKeys/k".into(), digest: Some(digest), ..Default::default() };
    house.record("auth.key", "users/guest/apiKeys/k", ADMIN, &created).await;
    let asked = ListEventsRequest { r#type: "ApiKeyCreated".into(), ..Default::default() };
    let seen = events(&house, ADMIN, asked).await;
    let Some(Kind::StructValue(digest)) = &seen[0].data.as_ref().unwrap().fields["digest"].kind else {
        panic!("the digest is a message: {seen:?}");
    };
    assert_eq!(digest.fields.keys().collect::<Vec<_>>(), ["pepper"]);
}

#[tokio::test]
async fn an_event_of_an_unknown_type_is_shown_without_its_data() {
    let house = House::new().await;
    let write = cairn_eventstore::Write::new(
        cairn_kernel::StreamName::stored("orders-1"),
        cairn_kernel::Expected::Any,
        vec![cairn_eventstore::NewEvent {
            id: uuid::Uuid::new_v4(),
            kind: "OrderPlaced".into(),
            payload: b"{}".to_vec().into(),
            metadata: b"{\"foreign\": true}".to_vec().into(),
        }],
    );
    cairn_eventstore::EventStore::append(&house.store, vec![write]).await.unwrap();
    let asked = ListEventsRequest { r#type: "OrderPlaced".into(), ..Default::default() };
    let seen = events(&house, ADMIN, asked).await;
    assert_eq!((seen[0].stream.as_str(), seen[0].resource.as_str(), &seen[0].data), ("orders-1", "*", &None));
    assert_eq!(house.audit(MANAGER, ListAuditRecordsRequest::default()).await.len(), 2, "only who sees all sees it");
}

#[tokio::test]
async fn the_journal_equals_its_rebuild() {
    let house = House::new().await;
    house.run(RUN, MANAGER).await;
    house.audit(ADMIN, ListAuditRecordsRequest::default()).await;
    house.journal.reached(house.head(), soon()).await.unwrap();
    let verdict = house.journal.verify().await.unwrap();
    assert!(verdict.is_equal(), "{verdict:?}");
    assert_eq!(house.journal.state().quarantined, 0);
}
