use cairn_kernel::Aggregate;

use super::{Artifact, ArtifactName, ArtifactPath, Change, Command, Content, Event, Owner, Rejection};

fn owner() -> Owner {
    "projects/fraud/experiments/1/runs/abc".parse().unwrap()
}

fn path() -> ArtifactPath {
    "model/MLmodel".parse().unwrap()
}

fn content(key: &str) -> Content {
    Content { object_key: key.into(), size: 3, sha256: "ab".into(), media_type: "text/plain".into() }
}

fn event(change: Change) -> Event {
    Event { owner: owner(), path: path(), change }
}

fn record(key: &str) -> Command {
    Command::Record { owner: owner(), path: path(), content: content(key) }
}

fn delete() -> Command {
    Command::Delete { owner: owner(), path: path() }
}

#[test]
fn recording_twice_changes_nothing_and_other_bytes_replace_the_first() {
    let recorded = event(Change::Recorded(content("k1")));
    assert_eq!(Artifact::default().decide(record("k1")), Ok(vec![recorded.clone()]));
    let artifact = Artifact::replay([&recorded]);
    assert_eq!(artifact.decide(record("k1")), Ok(vec![]));
    assert_eq!(artifact.decide(record("k2")), Ok(vec![event(Change::Recorded(content("k2")))]));
}

#[test]
fn what_never_was_cannot_be_deleted_and_what_is_gone_stays_gone() {
    let refused = Rejection::NotFound { owner: owner(), path: path() };
    assert_eq!(Artifact::default().decide(delete()), Err(refused));
    let (recorded, deleted) = (event(Change::Recorded(content("k"))), event(Change::Deleted));
    assert_eq!(Artifact::replay([&recorded]).decide(delete()), Ok(vec![deleted.clone()]));
    let gone = Artifact::replay([&recorded, &deleted]);
    assert_eq!(gone.content(), None);
    assert_eq!(gone.decide(delete()), Ok(vec![]));
    assert_eq!(gone.decide(record("k")), Ok(vec![recorded]));
}

#[test]
fn a_path_cannot_lead_out_of_its_owner() {
    for text in ["..", "a/..", "../a", "/a", "a/", "a//b", "./a", "a\\b", "a\0", "", &"x".repeat(256)] {
        assert!(text.parse::<ArtifactPath>().is_err(), "{text:?}");
    }
    for text in ["a", "a b/c+d.é", "..a", "model/data/%2e%2e"] {
        assert!(text.parse::<ArtifactPath>().is_ok(), "{text:?}");
    }
}

#[test]
fn an_artifact_is_named_below_its_owner() {
    for owner in ["projects/p/experiments/1/runs/r", "projects/p/experiments/1/loggedModels/m-1"] {
        let owner: Owner = owner.parse().unwrap();
        let name = owner.artifact(&path().id()).unwrap();
        let read: ArtifactName = name.to_string().parse().unwrap();
        assert_eq!((read.owner(), read.artifact()), (&owner, path().id().as_str()));
    }
    assert!("projects/p/experiments/1/artifacts/a".parse::<ArtifactName>().is_err());
    assert!("projects/p/experiments/1".parse::<Owner>().is_err());
}
