use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_contract::cairn::auth::events::v1::{ApiKeyCreated, ApiKeyUsed, KeyDigest};
use cairn_contract::cairn::ledger::v1::{
    Checkpoint, EventProof, GetCheckpointRequest, ProveConsistencyRequest, ProveEventRequest, ReadLogRequest,
};
use cairn_eventstore::{Direction, EventStore, Filter, Memory, NewEvent, Recorded, Write};
use cairn_kernel::{Clock, Expected, Position, SimClock, SystemClock};
use cairn_tlog::proof::verify_consistency;
use cairn_tlog::{Bundle, Frontier, Hash, Note, Tile, VerifyingKey};
use serde_json::Value;
use tonic::{Code, Status};

use crate::house::{ADMIN, GUEST, House, MANAGER, soon};

const RUN_A: &str = "projects/a/experiments/1/runs/r";
const RUN_B: &str = "projects/b/experiments/1/runs/r";

async fn prove(house: &House, principal: &str, position: u64) -> Result<EventProof, Status> {
    let asked = ProveEventRequest { position: position.to_string() };
    house.transparency().prove_event(house.of(principal, asked)).await.map(tonic::Response::into_inner)
}

async fn newest(house: &House) -> Result<Checkpoint, Status> {
    let asked = house.of(ADMIN, GetCheckpointRequest {});
    house.transparency().get_checkpoint(asked).await.map(tonic::Response::into_inner)
}

/// The newest checkpoint once it covers the whole log, as one asks who only has a client.
async fn complete(house: &House) -> Checkpoint {
    prove(house, ADMIN, house.head().0).await.unwrap();
    newest(house).await.unwrap()
}

fn keys(checkpoint: &Checkpoint) -> Vec<VerifyingKey> {
    checkpoint.verifying_keys.iter().map(|key| key.parse().unwrap()).collect()
}

fn checkpoint(shown: &Checkpoint) -> cairn_tlog::Checkpoint {
    let note: Note = shown.note.parse().unwrap();
    note.verify(&keys(shown)).unwrap();
    note.text.parse().unwrap()
}

async fn file(house: &House, path: &str) -> Result<Vec<u8>, Status> {
    let asked = house.of(ADMIN, ReadLogRequest { path: path.into() });
    house.transparency().read_log(asked).await.map(|answer| answer.into_inner().data.to_vec())
}

async fn log_of(store: &Memory) -> Vec<Arc<Recorded>> {
    store.read_all(Position::START, Direction::Forwards, &Filter::all(), 10_000).await.unwrap().events
}

/// A log with these events at the same moment.
async fn again(events: impl IntoIterator<Item = Arc<Recorded>>, clock: &Arc<SimClock>) -> Memory {
    let store = Memory::with_clock(Arc::clone(clock) as Arc<dyn Clock>);
    for event in events {
        let new = NewEvent {
            id: event.id,
            kind: event.kind.to_string().into(),
            payload: event.payload.clone(),
            metadata: event.metadata.clone(),
        };
        store.append(vec![Write::new(event.stream.clone(), Expected::Any, vec![new])]).await.unwrap();
    }
    store
}

#[tokio::test]
async fn every_event_is_proven_to_who_asks_nobody() {
    let house = House::new().await;
    house.run(RUN_A, MANAGER).await;
    let log = log_of(&house.store).await;
    let keys = keys(&complete(&house).await);
    for event in log {
        let proof = prove(&house, ADMIN, event.position.0).await.unwrap();
        let bundle: Bundle = proof.proof.parse().unwrap();
        bundle.verify(proof.entry.as_bytes(), &keys).unwrap();
        let entry: Value = serde_json::from_str(&proof.entry).unwrap();
        assert_eq!(entry["position"], event.position.0);
        assert_eq!(entry["stream"], event.stream.as_str());
        assert_eq!(entry["type"], *event.kind);
        assert_eq!(entry["principal"], event.metadata().principal);
        assert_eq!(proof.payload, event.payload);
        let salted = [&STANDARD.decode(proof.salt).unwrap()[..], &event.payload].concat();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &salted);
        assert_eq!(entry["payload_sha256"], STANDARD.encode(digest));
    }
}

#[tokio::test]
async fn only_who_may_read_the_record_gets_the_proof() {
    let house = House::new().await;
    let of_a = house.run(RUN_A, MANAGER).await.0;
    let of_b = house.run(RUN_B, ADMIN).await.0;
    prove(&house, MANAGER, of_a).await.unwrap();
    let of_others = prove(&house, MANAGER, of_b).await.unwrap_err();
    let of_nobody = prove(&house, MANAGER, 1_000_000).await.unwrap_err();
    assert_eq!((of_others.code(), of_nobody.code()), (Code::NotFound, Code::NotFound));
    let untold = |status: &Status, position: u64| status.message().replace(&position.to_string(), "n");
    assert_eq!(untold(&of_others, of_b), untold(&of_nobody, 1_000_000), "both look the same");
    assert_eq!(prove(&house, GUEST, of_a).await.unwrap_err().code(), Code::PermissionDenied);
    let whole = house.of(MANAGER, ReadLogRequest { path: "tile/entries/000".into() });
    assert_eq!(house.transparency().read_log(whole).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn what_will_be_gone_is_not_proven() {
    let house = House::new().await;
    let before: u64 = complete(&house).await.size.parse().unwrap();
    let used = ApiKeyUsed { key: "users/admin/apiKeys/k".into(), ..Default::default() };
    let position = house.record("auth.key_use", "users/admin/apiKeys/k", ADMIN, &used).await;
    assert_eq!(prove(&house, ADMIN, position.0).await.unwrap_err().code(), Code::NotFound);
    let run = house.run(RUN_A, ADMIN).await;
    let entry: Value = serde_json::from_str(&prove(&house, ADMIN, run.0).await.unwrap().entry).unwrap();
    assert_eq!(entry["position"], run.0);
    let after: u64 = newest(&house).await.unwrap().size.parse().unwrap();
    assert!(after > before && after < house.head().0, "{before} {after} {}", house.head());
}

#[tokio::test]
async fn data_that_nobody_is_shown_is_proven_and_not_told() {
    let house = House::new().await;
    let key = "users/admin/apiKeys/k";
    let digest = KeyDigest { digest: b"a digest".to_vec().into(), ..Default::default() };
    let created = ApiKeyCreated { key: key.into(), digest: Some(digest), ..Default::default() };
    let position = house.record("auth.key", key, ADMIN, &created).await;
    let proof = prove(&house, ADMIN, position.0).await.unwrap();
    let bundle: Bundle = proof.proof.parse().unwrap();
    bundle.verify(proof.entry.as_bytes(), &keys(&complete(&house).await)).unwrap();
    assert_eq!((proof.salt.as_str(), proof.payload.len()), ("", 0));
}

#[tokio::test]
async fn a_checkpoint_kept_long_ago_is_contained_in_that_of_today() {
    let house = House::new().await;
    let kept = checkpoint(&complete(&house).await);
    for _ in 0..150 {
        house.run(RUN_A, MANAGER).await;
    }
    complete(&house).await;
    let asked = ProveConsistencyRequest { from_size: kept.size.to_string(), to_size: String::new() };
    let proof = house.transparency().prove_consistency(house.of(ADMIN, asked)).await.unwrap().into_inner();
    let today = checkpoint(proof.checkpoint.as_ref().unwrap());
    assert!(today.size > 300, "{today:?}");
    let hashes: Vec<Hash> = proof.hashes.iter().map(|hash| hash.parse().unwrap()).collect();
    verify_consistency((kept.size, kept.root), (today.size, today.root), &hashes).unwrap();

    let asked = ProveConsistencyRequest { from_size: "9999999".into(), to_size: String::new() };
    let refused = house.transparency().prove_consistency(house.of(ADMIN, asked)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_files_of_the_log_make_the_root_that_was_signed() {
    let house = House::new().await;
    for _ in 0..200 {
        house.run(RUN_A, MANAGER).await;
    }
    complete(&house).await;
    let note: Note = String::from_utf8(file(&house, "checkpoint").await.unwrap()).unwrap().parse().unwrap();
    let signed: cairn_tlog::Checkpoint = note.text.parse().unwrap();
    let mut tree = Frontier::default();
    while tree.size() < signed.size {
        let tile = Tile::holding(0, tree.size(), signed.size).unwrap();
        let hashes = file(&house, &tile.to_string()).await.unwrap();
        let entries = file(&house, &tile.to_string().replace("tile/0/", "tile/entries/")).await.unwrap();
        let mut rest = &entries[..];
        for hash in hashes.as_chunks::<32>().0 {
            let (length, after) = rest.split_first_chunk::<2>().unwrap();
            let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
            assert_eq!(Hash::leaf(entry), Hash(*hash));
            tree.push(Hash(*hash));
            rest = after;
        }
        assert!(rest.is_empty());
    }
    assert_eq!(tree.root(), signed.root);
    for none in ["tile/0/999", "tile/entries/999", "tile/0/1", "tile/7/000", "../keys.json", ""] {
        assert_eq!(file(&house, none).await.unwrap_err().code(), Code::NotFound, "{none}");
    }
}

#[tokio::test]
async fn a_restart_goes_on_and_a_dropped_view_becomes_the_same_tree() {
    let house = House::new().await;
    let before = checkpoint(&complete(&house).await);
    let (store, folder) = house.stop().await;
    std::fs::remove_dir_all(folder.path().join("views")).unwrap();
    let house = House::over(store, folder);
    house.access.reached(house.head(), soon()).await.unwrap();
    let after = complete(&house).await;
    let proof = ProveConsistencyRequest { from_size: before.size.to_string(), to_size: String::new() };
    let proof = house.transparency().prove_consistency(house.of(ADMIN, proof)).await.unwrap().into_inner();
    let hashes: Vec<Hash> = proof.hashes.iter().map(|hash| hash.parse().unwrap()).collect();
    let after = checkpoint(&after);
    verify_consistency((before.size, before.root), (after.size, after.root), &hashes).unwrap();
}

#[tokio::test]
async fn nothing_is_signed_over_a_history_that_was_changed_or_cut() {
    let clock = Arc::new(SimClock::at(SystemClock.now()));
    let house = House::over(again([], &clock).await, Arc::new(tempfile::tempdir().unwrap()));
    house.furnish().await;
    house.run(RUN_A, MANAGER).await;
    let signed = checkpoint(&complete(&house).await);
    let (store, folder) = house.stop().await;
    let history = log_of(&store).await;

    let changed = history.iter().enumerate().map(|(at, event)| match at {
        7 => Arc::new(Recorded { payload: "another".into(), ..Recorded::clone(event) }),
        _ => Arc::clone(event),
    });
    let changed = again(changed, &clock).await;
    // What was not signed yet may be missing: nobody was told that it is there.
    let cut = again(history[..signed.size as usize - 1].iter().cloned(), &clock).await;
    for wrong in [changed, cut] {
        std::fs::remove_dir_all(folder.path().join("views")).unwrap();
        let house = House::over(wrong, Arc::clone(&folder));
        house.access.reached(house.head(), soon()).await.unwrap();
        let refused = prove(&house, ADMIN, 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert_eq!(newest(&house).await.unwrap_err().code(), Code::FailedPrecondition);
        house.stop().await;
    }

    std::fs::remove_dir_all(folder.path().join("views")).unwrap();
    let house = House::over(again(history, &clock).await, folder);
    house.access.reached(house.head(), soon()).await.unwrap();
    prove(&house, ADMIN, 1).await.unwrap();
    assert!(checkpoint(&newest(&house).await.unwrap()).size >= signed.size);
}

#[tokio::test]
async fn the_keys_of_the_log_are_its_own() {
    let house = House::new().await;
    let file = house.folder().join("ledger/keys.json");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let other = House::new().await;
    let (ours, theirs) = (complete(&house).await, complete(&other).await);
    assert_ne!(ours.origin, theirs.origin);
    let note: Note = ours.note.parse().unwrap();
    assert!(note.verify(&keys(&theirs)).is_err());
}
