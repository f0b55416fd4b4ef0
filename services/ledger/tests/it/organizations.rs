//! The logs of organizations.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_contract::cairn::auth::events::v1::{OrganizationCreated, ProjectCreated};
use cairn_contract::cairn::ledger::v1::{
    Checkpoint, FetchOrganizationCheckpointRequest, ProveOrganizationConsistencyRequest, ProveOrganizationEventRequest,
    ReadOrganizationLogRequest,
};
use cairn_eventstore::{Direction, EventStore, Filter, Recorded};
use cairn_kernel::Position;
use cairn_tlog::proof::verify_consistency;
use cairn_tlog::{Bundle, Frontier, Hash, Note, Tile, VerifyingKey};
use serde_json::Value;
use tonic::{Code, Response, Status};

use crate::house::{ADMIN, House, soon};

const ACME: &str = "organizations/acme";
const GLOBEX: &str = "organizations/globex";
const DEFAULT: &str = "organizations/default";
/// Looks after acme and nothing else.
const AUDITOR: &str = "users/guest";

/// Two organizations with a project each, beside the default one with projects a and b.
async fn two_organizations() -> House {
    let house = House::new().await;
    for (organization, project) in [(ACME, "projects/rockets"), (GLOBEX, "projects/cranes")] {
        let created = OrganizationCreated { organization: organization.into(), ..Default::default() };
        house.record("auth.organization", organization, ADMIN, &created).await;
        let created =
            ProjectCreated { project: project.into(), organization: organization.into(), ..Default::default() };
        house.record("auth.project", project, ADMIN, &created).await;
    }
    let position = house.grant("organizations/acme/bindings/g", AUDITOR, "roles/org-admin", ACME).await;
    house.access.reached(position, soon()).await.unwrap();
    house
}

async fn work(house: &House, rounds: usize) -> Position {
    let mut last = Position::START;
    for _ in 0..rounds {
        for project in ["rockets", "cranes", "a"] {
            house.run(&format!("projects/{project}/experiments/1/runs/r"), ADMIN).await;
        }
        last = house.run("projects/rockets/experiments/1/runs/s", ADMIN).await;
    }
    last
}

async fn newest(house: &House, principal: &str, organization: &str) -> Result<Checkpoint, Status> {
    let asked = FetchOrganizationCheckpointRequest { organization: organization.into() };
    let asked = house.of(principal, asked);
    house.organization_log().fetch_organization_checkpoint(asked).await.map(Response::into_inner)
}

async fn prove(house: &House, principal: &str, organization: &str, position: Position) -> Result<Value, Status> {
    let asked = ProveOrganizationEventRequest { organization: organization.into(), position: position.to_string() };
    let proof = house.organization_log().prove_organization_event(house.of(principal, asked)).await?.into_inner();
    let bundle: Bundle = proof.proof.parse().unwrap();
    bundle.verify(proof.entry.as_bytes(), &keys(&newest(house, principal, organization).await?)).unwrap();
    Ok(serde_json::from_str(&proof.entry).unwrap())
}

fn keys(checkpoint: &Checkpoint) -> Vec<VerifyingKey> {
    checkpoint.verifying_keys.iter().map(|key| key.parse().unwrap()).collect()
}

fn checkpoint(shown: &Checkpoint) -> cairn_tlog::Checkpoint {
    let note: Note = shown.note.parse().unwrap();
    note.verify(&keys(shown)).unwrap();
    note.text.parse().unwrap()
}

async fn file(house: &House, principal: &str, organization: &str, path: &str) -> Result<Vec<u8>, Status> {
    let asked = ReadOrganizationLogRequest { organization: organization.into(), path: path.into() };
    let answer = house.organization_log().read_organization_log(house.of(principal, asked)).await;
    answer.map(|answer| answer.into_inner().data.to_vec())
}

/// Every entry of an organization's log, once its files have been found to make the root that was signed.
async fn entries(house: &House, principal: &str, organization: &str) -> Vec<Value> {
    let note = String::from_utf8(file(house, principal, organization, "checkpoint").await.unwrap()).unwrap();
    let signed: cairn_tlog::Checkpoint = note.parse::<Note>().unwrap().text.parse().unwrap();
    let (mut tree, mut found) = (Frontier::default(), vec![]);
    while tree.size() < signed.size {
        let tile = Tile::holding(0, tree.size(), signed.size).unwrap().to_string();
        let hashes = file(house, principal, organization, &tile).await.unwrap();
        let bundle = tile.replace("tile/0/", "tile/entries/");
        let bundle = file(house, principal, organization, &bundle).await.unwrap();
        let mut rest = &bundle[..];
        for hash in hashes.as_chunks::<32>().0 {
            let (length, after) = rest.split_first_chunk::<2>().unwrap();
            let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
            assert_eq!(Hash::leaf(entry), Hash(*hash));
            tree.push(Hash(*hash));
            found.push(serde_json::from_slice(entry).unwrap());
            rest = after;
        }
        assert!(rest.is_empty());
    }
    assert_eq!(tree.root(), signed.root);
    found
}

/// Where entries stand, once the last of them is under the checkpoint.
async fn positions(house: &House, organization: &str, last: Position) -> BTreeSet<u64> {
    prove(house, ADMIN, organization, last).await.unwrap();
    let entries = entries(house, ADMIN, organization).await;
    let positions: Vec<u64> = entries.iter().map(|entry| entry["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted());
    positions.into_iter().collect()
}

async fn log_of(house: &House) -> Vec<Arc<Recorded>> {
    house.store.read_all(Position::START, Direction::Forwards, &Filter::all(), 10_000).await.unwrap().events
}

/// Where the events of some projects and of an organization itself stand.
async fn expected(house: &House, organization: &str, projects: &[&str]) -> BTreeSet<u64> {
    let is_of =
        |id: &str, owner: &str| id.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let log = log_of(house).await;
    let owned = log.iter().filter(|event| {
        let id = event.stream.id();
        is_of(id, organization) || projects.iter().any(|project| is_of(id, project))
    });
    owned.map(|event| event.position.0).collect()
}

#[tokio::test]
async fn an_organizations_log_has_all_of_its_events_and_no_others() {
    let house = two_organizations().await;
    work(&house, 80).await;
    let last_of = |log: &[Arc<Recorded>], project: &str| {
        log.iter().rfind(|event| event.stream.id().starts_with(project)).unwrap().position
    };
    let log = log_of(&house).await;
    for (organization, projects) in [
        (ACME, vec!["projects/rockets"]),
        (GLOBEX, vec!["projects/cranes"]),
        (DEFAULT, vec!["projects/a", "projects/b"]),
    ] {
        let last = last_of(&log, projects[0]);
        let found = positions(&house, organization, last).await;
        assert_eq!(found, expected(&house, organization, &projects).await, "{organization}");
    }
    assert!(checkpoint(&newest(&house, ADMIN, ACME).await.unwrap()).size > 256, "more than one tile");
}

#[tokio::test]
async fn who_audits_one_organization_sees_its_log_and_that_of_no_other() {
    let house = two_organizations().await;
    work(&house, 1).await;
    let log = log_of(&house).await;
    let position = |project: &str| log.iter().rfind(|event| event.stream.id().starts_with(project)).unwrap().position;
    let (ours, theirs) = (position("projects/rockets"), position("projects/cranes"));

    let entry = prove(&house, AUDITOR, ACME, ours).await.unwrap();
    assert_eq!(entry["position"], ours.0);
    assert_eq!(entries(&house, AUDITOR, ACME).await.len(), expected(&house, ACME, &["projects/rockets"]).await.len());
    assert_eq!(prove(&house, AUDITOR, ACME, theirs).await.unwrap_err().code(), Code::NotFound);
    for other in [GLOBEX, DEFAULT, "organizations/none"] {
        assert_eq!(newest(&house, AUDITOR, other).await.unwrap_err().code(), Code::PermissionDenied, "{other}");
        let refused = file(&house, AUDITOR, other, "tile/entries/000.p/1").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{other}");
    }
    // Somebody was refused for it, which makes no organization of it.
    assert_eq!(newest(&house, ADMIN, "organizations/none").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(prove(&house, ADMIN, GLOBEX, ours).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn an_organizations_log_only_grows_and_is_made_again_from_the_whole() {
    let house = two_organizations().await;
    let last = house.run("projects/rockets/experiments/1/runs/r", ADMIN).await;
    prove(&house, ADMIN, ACME, last).await.unwrap();
    let kept = checkpoint(&newest(&house, ADMIN, ACME).await.unwrap());
    let last = work(&house, 3).await;
    let (store, folder) = house.stop().await;
    std::fs::remove_dir_all(folder.path().join("views")).unwrap();

    let house = House::over(store, folder);
    house.access.reached(house.head(), soon()).await.unwrap();
    prove(&house, ADMIN, ACME, last).await.unwrap();
    let asked = ProveOrganizationConsistencyRequest {
        organization: ACME.into(),
        from_size: kept.size.to_string(),
        to_size: String::new(),
    };
    let proof = house.organization_log().prove_organization_consistency(house.of(ADMIN, asked)).await.unwrap();
    let proof = proof.into_inner();
    let shown = proof.checkpoint.unwrap();
    let today = checkpoint(&shown);
    let hashes: Vec<Hash> = proof.hashes.iter().map(|hash| hash.parse().unwrap()).collect();
    assert!(today.size > kept.size);
    verify_consistency((kept.size, kept.root), (today.size, today.root), &hashes).unwrap();
    assert_eq!(today.origin, format!("{}/{ACME}", shown.log.strip_suffix(&format!("/{ACME}")).unwrap()));
}
