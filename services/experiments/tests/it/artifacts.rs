use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{Commands, EventStore, Memory, Order};
use cairn_experiments::artifacts::{Artifacts, Storage};
use cairn_experiments::model::artifact::{Artifact, ArtifactPath, Command, Content, Owner};
use cairn_kernel::{Expected, SystemClock};
use cairn_objects::{Expect, Key, ObjectStore, Signer, of_bytes};
use cairn_service::AsOfReads;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// Artifacts over a log and objects in memory. Objects there are as old as can be.
struct House {
    objects: Arc<dyn ObjectStore>,
    commands: Commands,
    artifacts: Artifacts,
    _views: TempDir,
}

impl House {
    fn open() -> Self {
        let views = tempfile::tempdir().unwrap();
        let store: Arc<dyn EventStore> = Arc::new(Memory::new());
        let commands = Commands::new(Arc::clone(&store), Arc::new(SystemClock), 1 << 20);
        let signer = Signer::new(&[1; 32], "http://localhost:3001");
        let objects: Arc<dyn ObjectStore> = Arc::new(cairn_objects::Memory::new(signer.clone()));
        let storage = Storage { objects: Arc::clone(&objects), signer, address: "memory://".into(), size_max: 1 << 20 };
        let past = AsOfReads::none(Arc::clone(&store), Arc::new(SystemClock));
        let artifacts = Artifacts::start(storage, store, commands.clone(), views.path(), past).unwrap();
        Self { objects, commands, artifacts, _views: views }
    }

    /// Stores bytes, as an upload does first.
    async fn bytes(&self, id: u128) -> Key {
        let key: Key = format!("p/runs/r/{id:032x}").parse().unwrap();
        self.objects.put(&key, of_bytes("bytes"), Expect::at_most(5)).await.unwrap();
        key
    }

    /// Records them, as an upload does then.
    async fn record(&self, path: &ArtifactPath, key: &Key) {
        let content = Content {
            object_key: key.to_string(),
            size: 5,
            sha256: cairn_objects::Digest::of(b"bytes").to_string(),
            media_type: "text/plain".into(),
        };
        let command = Command::Record { owner: owner(), path: path.clone(), content };
        self.execute(path, command).await;
    }

    async fn execute(&self, path: &ArtifactPath, command: Command) {
        let stream = owner().artifact_stream(path);
        self.commands.execute::<Artifact>(&Order::default(), &stream, Expected::Any, command).await.unwrap();
    }

    async fn is_there(&self, key: &Key) -> bool {
        self.objects.head(key).await.is_ok()
    }
}

fn owner() -> Owner {
    "projects/p/experiments/1/runs/r".parse().unwrap()
}

fn path(text: &str) -> ArtifactPath {
    text.parse().unwrap()
}

#[tokio::test]
async fn bytes_whose_event_never_came_are_no_artifact_and_are_swept() {
    let house = House::open();
    let crashed = house.bytes(1).await;
    let kept = house.bytes(2).await;
    house.record(&path("kept"), &kept).await;

    assert!(house.artifacts.content(&owner(), &path("crashed")).await.is_err());
    assert_eq!(house.artifacts.sweep(PATIENCE).await.unwrap(), 1);
    assert!(!house.is_there(&crashed).await);
    assert!(house.is_there(&kept).await);
    assert_eq!(house.artifacts.content(&owner(), &path("kept")).await.unwrap().object_key, kept.to_string());
}

#[tokio::test]
async fn bytes_of_a_replaced_or_deleted_artifact_are_swept_and_what_others_put_there_is_not() {
    let house = House::open();
    let (first, second, deleted) = (house.bytes(1).await, house.bytes(2).await, house.bytes(3).await);
    house.record(&path("a"), &first).await;
    house.record(&path("a"), &second).await;
    house.record(&path("b"), &deleted).await;
    house.execute(&path("b"), Command::Delete { owner: owner(), path: path("b") }).await;
    let foreign: Key = "backups/2026/dump.sql".parse().unwrap();
    house.objects.put(&foreign, of_bytes("x"), Expect::at_most(1)).await.unwrap();

    assert_eq!(house.artifacts.sweep(PATIENCE).await.unwrap(), 2);
    assert!(!house.is_there(&first).await && !house.is_there(&deleted).await);
    assert!(house.is_there(&second).await && house.is_there(&foreign).await);
}

#[tokio::test]
async fn parts_that_nobody_went_on_with_are_swept_and_those_of_others_are_not() {
    let house = House::open();
    let ours: Key = format!("p/runs/r/{:032x}", 7).parse().unwrap();
    let foreign: Key = "backups/2026/dump.sql".parse().unwrap();
    let (upload, other) = (house.objects.begin(&ours).await.unwrap(), house.objects.begin(&foreign).await.unwrap());
    house.objects.put_part(&ours, &upload, 1, of_bytes("part"), Expect::at_most(4)).await.unwrap();

    assert_eq!(house.artifacts.sweep(PATIENCE).await.unwrap(), 1);
    assert!(house.objects.parts(&ours, &upload).await.is_err());
    assert!(house.objects.parts(&foreign, &other).await.is_ok());
}
