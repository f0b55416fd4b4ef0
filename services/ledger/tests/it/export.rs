use cairn_contract::cairn::ledger::v1::{AuditRecord, ExportAuditRecordsRequest, ListAuditRecordsRequest, Outcome};
use tonic::{Code, Streaming};

use crate::house::{ADMIN, GUEST, House, MANAGER, soon};

const RUN_A: &str = "projects/a/experiments/1/runs/r";
const RUN_B: &str = "projects/b/experiments/1/runs/r";
/// More than an export holds at once.
const MANY: usize = 600;

async fn export(house: &House, principal: &str, asked: ExportAuditRecordsRequest) -> Streaming<AuditRecord> {
    house.client().export_audit_records(house.of(principal, asked)).await.unwrap().into_inner()
}

async fn next(records: &mut Streaming<AuditRecord>) -> Result<Option<AuditRecord>, tonic::Status> {
    tokio::time::timeout_at(soon(), records.message()).await.expect("a record in time")
}

async fn all(mut records: Streaming<AuditRecord>) -> Vec<AuditRecord> {
    let mut found = vec![];
    while let Some(record) = next(&mut records).await.unwrap() {
        found.push(record);
    }
    found
}

#[tokio::test]
async fn an_export_holds_every_record_once_and_ends_where_the_log_was() {
    let house = House::new().await;
    for _ in 0..MANY / 2 {
        house.run(RUN_A, MANAGER).await;
    }
    let before = house.head();
    let mut records = export(&house, ADMIN, ExportAuditRecordsRequest::default()).await;
    let first = next(&mut records).await.unwrap().unwrap();
    house.run(RUN_B, ADMIN).await;
    let mut found = vec![first];
    found.extend(all(records).await);
    let positions: Vec<u64> = found.iter().map(|record| record.position.parse().unwrap()).collect();
    assert_eq!(positions, (1..=before.0).collect::<Vec<_>>(), "oldest first, without gap or repeat");
}

#[tokio::test]
async fn an_export_says_what_a_list_with_the_same_filters_says() {
    let house = House::new().await;
    house.run(RUN_A, MANAGER).await;
    house.run(RUN_B, ADMIN).await;
    let denied = ListAuditRecordsRequest::default();
    house.client().list_audit_records(house.of(GUEST, denied)).await.unwrap_err();
    let ask = ListAuditRecordsRequest::default;
    for asked in [
        ListAuditRecordsRequest { principal: MANAGER.into(), ..ask() },
        ListAuditRecordsRequest { action: "experiments.run.change".into(), ..ask() },
        ListAuditRecordsRequest { resource: "projects/a".into(), ..ask() },
        ListAuditRecordsRequest { request_id: "request-projects-b-experiments-1-runs-r".into(), ..ask() },
        ListAuditRecordsRequest { outcome: Outcome::Denied.into(), ..ask() },
        ListAuditRecordsRequest { principal: "users/nobody".into(), ..ask() },
    ] {
        let same = ExportAuditRecordsRequest {
            principal: asked.principal.clone(),
            action: asked.action.clone(),
            resource: asked.resource.clone(),
            request_id: asked.request_id.clone(),
            outcome: asked.outcome,
            ..Default::default()
        };
        let mut listed = house.audit(ADMIN, asked).await;
        listed.reverse();
        assert_eq!(all(export(&house, ADMIN, same.clone()).await).await, listed, "{same:?}");
    }
}

#[tokio::test]
async fn an_export_goes_on_after_the_last_record_received() {
    let house = House::new().await;
    house.run(RUN_A, MANAGER).await;
    let whole = all(export(&house, ADMIN, ExportAuditRecordsRequest::default()).await).await;
    let half = whole.len() / 2;
    let asked = ExportAuditRecordsRequest { after_position: whole[half].position.clone(), ..Default::default() };
    let rest = all(export(&house, ADMIN, asked).await).await;
    assert_eq!(rest[..whole.len() - half - 1], whole[half + 1..]);
    let later: Vec<_> = rest[whole.len() - half - 1..].iter().map(|record| record.outcome()).collect();
    assert_eq!(later, [Outcome::Read], "beyond that lies the first export's own record");
}

#[tokio::test]
async fn an_export_shows_what_its_caller_may_see_and_breaks_off_when_that_is_taken_away() {
    let house = House::new().await;
    for _ in 0..MANY {
        house.run(RUN_A, ADMIN).await;
    }
    house.run(RUN_B, ADMIN).await;
    let mut records = export(&house, MANAGER, ExportAuditRecordsRequest::default()).await;
    let first = next(&mut records).await.unwrap().unwrap();
    assert_eq!(first.project, "projects/a");
    house.withdraw("projects/a/bindings/m", MANAGER, "roles/manager", "projects/a").await;
    let ended = loop {
        match next(&mut records).await {
            Ok(Some(record)) => assert_eq!(record.project, "projects/a"),
            Ok(None) => panic!("it must not look complete"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::PermissionDenied);
    let refused = house.client().export_audit_records(house.of(GUEST, Default::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
