use cairn_contract::cairn::ledger::v1::{AuditRecord, ListAuditRecordsRequest, Outcome, ReadResourceHistoryRequest};
use prost_types::Timestamp;
use tonic::Code;

use crate::house::{ADMIN, GUEST, House, MANAGER};

const RUN_A: &str = "projects/a/experiments/1/runs/r";
const RUN_B: &str = "projects/b/experiments/1/runs/r";

fn kinds(records: &[AuditRecord]) -> Vec<&str> {
    records.iter().map(|record| record.r#type.rsplit('.').next().unwrap()).collect()
}

#[tokio::test]
async fn every_change_is_a_record_as_soon_as_its_position_is_known() {
    let house = House::new().await;
    let position = house.run(RUN_A, MANAGER).await;
    let records = house.audit(ADMIN, ListAuditRecordsRequest::default()).await;
    assert_eq!(records.len(), 9, "seven events of the house and two of the run");
    let newest = &records[0];
    assert_eq!(newest.position, position.to_string());
    assert_eq!(newest.r#type, "cairn.experiments.events.v1.RunFinished");
    let facts = [&newest.principal, &newest.action, &newest.resource, &newest.project, &newest.request_id];
    assert_eq!(
        facts,
        [MANAGER, "experiments.run.change", RUN_A, "projects/a", "request-projects-a-experiments-1-runs-r"]
    );
    assert_eq!((newest.outcome(), newest.source_address.as_str()), (Outcome::Committed, "10.0.0.7"));
    assert_eq!(newest.decision_id, "d-1");
    assert!(newest.event_time.is_some());
}

#[tokio::test]
async fn records_are_found_by_who_what_where_and_which_request() {
    let house = House::new().await;
    house.run(RUN_A, MANAGER).await;
    house.run(RUN_B, ADMIN).await;
    let ask = ListAuditRecordsRequest::default;
    for (asked, expected) in [
        (ListAuditRecordsRequest { principal: MANAGER.into(), ..ask() }, vec!["RunFinished", "RunCreated"]),
        (ListAuditRecordsRequest { action: "auth.project.change".into(), ..ask() }, vec!["ProjectCreated"; 2]),
        (
            ListAuditRecordsRequest { resource: "projects/a".into(), ..ask() },
            vec!["RunFinished", "RunCreated", "RoleGranted", "ProjectCreated"],
        ),
        (
            ListAuditRecordsRequest { resource: "projects/b/experiments/1".into(), ..ask() },
            vec!["RunFinished", "RunCreated"],
        ),
        (ListAuditRecordsRequest { request_id: "request-users-guest".into(), ..ask() }, vec!["UserCreated"]),
        (
            ListAuditRecordsRequest { principal: ADMIN.into(), resource: RUN_B.into(), ..ask() },
            vec!["RunFinished", "RunCreated"],
        ),
        (ListAuditRecordsRequest { query: "Mana run".into(), ..ask() }, vec!["RunFinished", "RunCreated"]),
        (ListAuditRecordsRequest { query: "mana project".into(), ..ask() }, vec![]),
        (
            ListAuditRecordsRequest { query: "change".into(), resource: RUN_B.into(), ..ask() },
            vec!["RunFinished", "RunCreated"],
        ),
        (ListAuditRecordsRequest { principal: "users/nobody".into(), ..ask() }, vec![]),
        (ListAuditRecordsRequest { principal: GUEST.into(), resource: RUN_B.into(), ..ask() }, vec![]),
    ] {
        let records = house.audit(ADMIN, asked.clone()).await;
        assert_eq!(kinds(&records), expected, "{asked:?}");
    }
    let no_name = ListAuditRecordsRequest { resource: "projects/b/experiments".into(), ..ask() };
    let refused = house.client().list_audit_records(house.of(ADMIN, no_name)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn records_are_found_by_time() {
    let house = House::new().await;
    house.run(RUN_A, MANAGER).await;
    let all = house.audit(ADMIN, ListAuditRecordsRequest::default()).await;
    for record in &all {
        let later = |time: &Timestamp| all.iter().filter(|r| after(r.event_time.as_ref().unwrap(), time)).count();
        let time = record.event_time.unwrap();
        let since = ListAuditRecordsRequest { start_time: Some(time), ..Default::default() };
        let before = ListAuditRecordsRequest { end_time: Some(time), ..Default::default() };
        let (since, before) = (house.audit(ADMIN, since).await, house.audit(ADMIN, before).await);
        let asked_meanwhile = since.iter().filter(|record| kinds(std::slice::from_ref(record)) == ["ReadRecorded"]);
        assert_eq!(since.len() - asked_meanwhile.count(), later(&time));
        assert_eq!(before.len(), all.len() - later(&time));
    }
}

/// Whether a moment is not before another.
fn after(one: &Timestamp, other: &Timestamp) -> bool {
    (one.seconds, one.nanos) >= (other.seconds, other.nanos)
}

#[tokio::test]
async fn a_caller_sees_what_lies_where_they_may_look_and_nothing_else() {
    let house = House::new().await;
    house.run(RUN_A, MANAGER).await;
    house.run(RUN_B, ADMIN).await;
    let records = house.audit(MANAGER, ListAuditRecordsRequest::default()).await;
    assert_eq!(kinds(&records), ["RunFinished", "RunCreated", "RoleGranted", "ProjectCreated"]);
    assert!(records.iter().all(|record| record.project == "projects/a"), "{records:?}");
    for resource in ["projects/b", RUN_B, "users/guest"] {
        let asked = ListAuditRecordsRequest { resource: resource.into(), ..Default::default() };
        assert_eq!(house.audit(MANAGER, asked).await, [], "{resource}");
    }
    let refused = house.client().list_audit_records(house.of(GUEST, ListAuditRecordsRequest::default())).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn refusals_and_recorded_reads_are_records_with_who_and_why() {
    let house = House::new().await;
    let asked = ReadResourceHistoryRequest { name: "projects/a".into(), ..Default::default() };
    let refused = house.client().read_resource_history(house.of(GUEST, asked)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    house.audit(MANAGER, ListAuditRecordsRequest::default()).await;

    let denied = ListAuditRecordsRequest { outcome: Outcome::Denied.into(), ..Default::default() };
    let denied = house.audit(ADMIN, denied).await;
    assert_eq!(denied.len(), 1);
    let facts = [&denied[0].principal, &denied[0].action, &denied[0].resource, &denied[0].reason];
    assert_eq!(facts, [GUEST, "ledger.history.read", "projects/a", "ACCESS_DENIED"]);
    let whence = [&denied[0].method, &denied[0].source_address, &denied[0].request_id];
    assert_eq!(whence, ["/cairn.ledger.v1.LedgerService/ReadResourceHistory", "sealed:somewhere", "asked-by-test"]);
    assert_ne!(denied[0].decision_id, "");

    let read = ListAuditRecordsRequest { outcome: Outcome::Read.into(), ..Default::default() };
    let read = house.audit(ADMIN, read).await;
    assert_eq!((read[0].principal.as_str(), read.len()), (ADMIN, 2), "reading the audit log is recorded too");
    assert_eq!(read[1].principal, MANAGER);

    // A refusal on project a concerns those who manage it.
    let denied = ListAuditRecordsRequest { outcome: Outcome::Denied.into(), ..Default::default() };
    assert_eq!(house.audit(MANAGER, denied).await.len(), 1);
}

#[tokio::test]
async fn pages_hold_every_record_once_and_are_not_shifted_by_new_ones() {
    let house = House::new().await;
    house.run(RUN_A, MANAGER).await;
    let all: Vec<_> = house.audit(ADMIN, ListAuditRecordsRequest::default()).await;
    let mut seen = vec![];
    let mut asked = ListAuditRecordsRequest { page_size: 2, ..Default::default() };
    loop {
        let page = house.client().list_audit_records(house.of(ADMIN, asked.clone())).await.unwrap().into_inner();
        assert!(page.audit_records.len() <= 2);
        seen.extend(page.audit_records);
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = page.next_page_token;
        house.run(RUN_B, ADMIN).await;
    }
    // The first page begins with the record of the question before it.
    assert_eq!(seen[1..], all[..]);

    let other = ListAuditRecordsRequest { principal: ADMIN.into(), ..asked };
    let refused = house.client().list_audit_records(house.of(ADMIN, other)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "a token belongs to the question it was given for");
}
