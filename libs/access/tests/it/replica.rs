use std::sync::Arc;
use std::time::Duration;

use cairn_access::{Access, ApiKey, AuthenticationFault, Circumstances, Config, Denial, KeyKind, Keyring, Reach};
use cairn_contract::cairn::auth::events::v1 as events;
use cairn_eventstore::{EventStore, Memory, NewEvent, Write};
use cairn_kernel::{Clock, Expected, Name, Position, Principal, PrincipalKind, SimClock, StreamName};
use cairn_testkit::{Faults, FaultyStore};
use prost_types::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

/// A log that auth wrote to, and a replica of it.
struct Town {
    store: Arc<FaultyStore>,
    clock: SimClock,
    access: Arc<Access>,
    keyring: Arc<Keyring>,
}

const READ: &str = "experiments.runs.get";
const WRITE: &str = "experiments.runs.create";

impl Town {
    async fn new() -> Self {
        Self::with(&Config::default()).await
    }

    async fn with(config: &Config) -> Self {
        let store = Arc::new(FaultyStore::new(Arc::new(Memory::new()), 1, Faults::NONE));
        let clock = SimClock::default();
        let keyring = Arc::new(Keyring::generate());
        let shared: Arc<dyn EventStore> = store.clone();
        let time: Arc<dyn Clock> = Arc::new(clock.clone());
        let access = Access::start(shared, time, Arc::clone(&keyring), config);
        let town = Self { store, clock, access, keyring };
        town.tell(
            "auth.project-projects/fraud",
            &events::ProjectCreated { project: "projects/fraud".into(), ..Default::default() },
        )
        .await;
        town.tell("auth.user-users/ada", &events::UserCreated { user: "users/ada".into() }).await;
        town.tell(
            "auth.binding-bindings/b",
            &events::RoleGranted {
                binding: "bindings/b".into(),
                principal: "users/ada".into(),
                role: "roles/editor".into(),
                resource: "projects/fraud".into(),
                ..Default::default()
            },
        )
        .await;
        town
    }

    /// Appends an event, and waits until the replica has heard it.
    async fn tell<M: prost::Message + prost::Name>(&self, stream: &str, message: &M) -> Position {
        let event = NewEvent {
            id: Uuid::new_v4(),
            kind: M::full_name().into(),
            payload: message.encode_to_vec().into(),
            metadata: Default::default(),
        };
        let write = Write::new(StreamName::stored(stream), Expected::Any, vec![event]);
        let at = self.store.append(vec![write]).await.unwrap().position;
        self.access.reached(at, Instant::now() + Duration::from_secs(10)).await.unwrap();
        at
    }

    /// Makes a key of Ada's that holds for an hour.
    async fn key(&self, id: &str) -> ApiKey {
        let key = ApiKey::generate(KeyKind::Personal, id);
        let digest = self.keyring.digest(key.id(), key.secret());
        let (seconds, nanos) = self.clock.now().after(Duration::from_secs(3600)).seconds_and_nanos();
        let created = events::ApiKeyCreated {
            key: format!("users/ada/apiKeys/{id}"),
            owner: "users/ada".into(),
            digest: Some(events::KeyDigest {
                form: events::key_digest::Form::Structured.into(),
                digest: digest.bytes.into(),
                pepper: digest.pepper,
            }),
            expire_time: Some(Timestamp { seconds, nanos }),
            ..Default::default()
        };
        self.tell(&format!("auth.key-users/ada/apiKeys/{id}"), &created).await;
        key
    }

    fn denial(&self, principal: &Principal, permission: &str) -> Option<Denial> {
        let fraud: Name = "projects/fraud".parse().unwrap();
        self.access.decide(principal, permission, &fraud, Reach::Exact).denial
    }
}

fn ada() -> Principal {
    Principal { name: "users/ada".into(), kind: PrincipalKind::User, credential: None, scopes: vec![] }
}

#[tokio::test]
async fn a_decision_names_itself_what_allowed_it_and_the_policy_it_rests_on() {
    let town = Town::new().await;
    let fraud: Name = "projects/fraud".parse().unwrap();
    let first = town.access.decide(&ada(), WRITE, &fraud, Reach::Exact);
    let second = town.access.decide(&ada(), WRITE, &fraud, Reach::Exact);
    assert!(first.is_allowed());
    assert_eq!((first.binding.as_deref(), first.policy), (Some("bindings/b"), 3));
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn a_valid_key_is_its_owner_and_one_changed_character_is_nobody() {
    let town = Town::new().await;
    let key = town.key("abcdefghijkl").await;
    let principal = town.access.authenticate(&key.reveal()).unwrap();
    assert_eq!((principal.name.as_str(), principal.credential.as_deref()), ("users/ada", Some("abcdefghijkl")));
    let text = key.reveal();
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(town.access.authenticate(&changed), Err(AuthenticationFault::Invalid), "character {at}");
    }
    // Well formed, checksum and all, but not the secret that was given out.
    let guessed = ApiKey::generate(KeyKind::Personal, "abcdefghijkl").reveal();
    assert_eq!(town.access.authenticate(&guessed), Err(AuthenticationFault::Invalid));
    let unknown = ApiKey::generate(KeyKind::Personal, "lkjihgfedcba").reveal();
    assert_eq!(town.access.authenticate(&unknown), Err(AuthenticationFault::Invalid));
}

#[tokio::test]
async fn a_key_ends_with_its_time_its_revocation_and_its_owner() {
    let town = Town::new().await;
    let key = town.key("abcdefghijkl").await.reveal();
    let other = town.key("bbbbbbbbbbbb").await.reveal();
    let principal = town.access.authenticate(&other).unwrap();
    town.tell(
        "auth.key-users/ada/apiKeys/bbbbbbbbbbbb",
        &events::ApiKeyRevoked { key: "users/ada/apiKeys/bbbbbbbbbbbb".into(), ..Default::default() },
    )
    .await;
    assert_eq!(town.access.authenticate(&other), Err(AuthenticationFault::Revoked));
    assert_eq!(town.denial(&principal, READ), Some(Denial::PrincipalDisabled), "whoever came in with it before");
    assert!(town.access.authenticate(&key).is_ok());

    town.clock.advance(Duration::from_secs(3600));
    assert_eq!(town.access.authenticate(&key), Err(AuthenticationFault::Expired));
    town.tell("auth.user-users/ada", &events::UserDisabled { user: "users/ada".into(), ..Default::default() }).await;
    assert_eq!(town.access.authenticate(&key), Err(AuthenticationFault::Revoked));
    assert_eq!(town.denial(&ada(), READ), Some(Denial::PrincipalDisabled));
}

#[tokio::test]
async fn after_a_rotation_both_secrets_hold_until_the_grace_is_over() {
    let town = Town::new().await;
    let before = town.key("abcdefghijkl").await;
    let after = ApiKey::generate(KeyKind::Personal, "abcdefghijkl");
    let digest = town.keyring.digest(after.id(), after.secret());
    let in_seconds = |seconds| {
        let (seconds, nanos) = town.clock.now().after(Duration::from_secs(seconds)).seconds_and_nanos();
        Some(Timestamp { seconds, nanos })
    };
    let rotated = events::ApiKeyRotated {
        key: "users/ada/apiKeys/abcdefghijkl".into(),
        digest: Some(events::KeyDigest { form: 1, digest: digest.bytes.into(), pepper: digest.pepper }),
        expire_time: in_seconds(3600),
        previous_secret_expire_time: in_seconds(60),
    };
    town.tell("auth.key-users/ada/apiKeys/abcdefghijkl", &rotated).await;
    assert!(town.access.authenticate(&before.reveal()).is_ok());
    assert!(town.access.authenticate(&after.reveal()).is_ok());
    town.clock.advance(Duration::from_secs(60));
    assert_eq!(town.access.authenticate(&before.reveal()), Err(AuthenticationFault::Invalid));
    assert!(town.access.authenticate(&after.reveal()).is_ok());
}

#[tokio::test]
async fn a_token_got_with_a_key_dies_with_it() {
    let town = Town::new().await;
    let key = town.key("abcdefghijkl").await.reveal();
    let principal = town.access.authenticate(&key).unwrap();
    let token = town.access.issue(&principal, &["projects/fraud".into()], Duration::from_secs(600));
    let with_token = town.access.authenticate(&token).unwrap();
    assert_eq!(with_token.scopes, ["projects/fraud"]);
    assert_eq!(town.access.verify(&token), Err(AuthenticationFault::Invalid), "services refuse callers' tokens");
    let inward = town.access.sign(&with_token).unwrap();
    assert_eq!(town.access.verify(&inward).as_ref(), Ok(&with_token));
    assert_eq!(town.access.authenticate(&inward), Err(AuthenticationFault::Invalid), "and the gateway services'");

    town.tell(
        "auth.key-users/ada/apiKeys/abcdefghijkl",
        &events::ApiKeyRevoked { key: "users/ada/apiKeys/abcdefghijkl".into(), ..Default::default() },
    )
    .await;
    assert_eq!(town.access.authenticate(&token), Err(AuthenticationFault::Revoked));
}

#[tokio::test]
async fn a_principal_is_signed_once_per_half_life() {
    let town = Town::new().await;
    let first = town.access.sign(&ada()).unwrap();
    town.clock.advance(Duration::from_secs(29));
    assert_eq!(town.access.sign(&ada()).unwrap(), first);
    town.clock.advance(Duration::from_secs(1));
    let second = town.access.sign(&ada()).unwrap();
    assert_ne!(second, first);
    assert!(town.access.verify(&first).is_ok() && town.access.verify(&second).is_ok());
}

#[tokio::test]
async fn until_it_has_heard_everything_a_replica_refuses_everything() {
    let store: Arc<dyn EventStore> = Arc::new(Memory::new());
    let keyring = Arc::new(Keyring::generate());
    let access = Access::start(store, Arc::new(SimClock::default()), keyring, &Config::default());
    // The follower has not run yet: this test has not given way to it.
    let fraud: Name = "projects/fraud".parse().unwrap();
    assert_eq!(access.decide(&ada(), READ, &fraud, Reach::Exact).denial, Some(Denial::Stale));
    assert_eq!(access.visible(Circumstances::default(), &ada(), READ, &Name::ROOT), vec![]);
    assert_eq!(access.authenticate("whatever"), Err(AuthenticationFault::Stale));
}

/// Waits for a condition that must come about.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come about that {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_replica_that_hears_nothing_refuses_changes_first_then_everything_and_recovers() {
    let town = Town::with(&Config {
        heartbeat_ms: 5,
        writes_refused_after_ms: 100,
        everything_refused_after_ms: 400,
        ..Config::default()
    })
    .await;
    let is_stale = |permission| town.denial(&ada(), permission) == Some(Denial::Stale);
    until("it is fresh", || !is_stale(READ) && !is_stale(WRITE)).await;
    // Long enough for it to go stale several times over, if it did not ask. Nothing happens meanwhile.
    let asked_since = Instant::now();
    until("it was fresh all the while", || asked_since.elapsed() > Duration::from_millis(800) && !is_stale(WRITE))
        .await;

    town.store.set(Faults { lost_read: 1.0, ..Faults::NONE });
    until("changes are refused", || is_stale(WRITE)).await;
    until("everything is refused", || is_stale(READ)).await;
    assert!(is_stale(WRITE), "changes are refused no later than reads");
    assert_eq!(town.access.authenticate("whatever it is"), Err(AuthenticationFault::Stale));

    town.store.set(Faults::NONE);
    until("it is fresh again", || !is_stale(READ) && !is_stale(WRITE)).await;
}

#[tokio::test]
async fn with_authentication_switched_off_everybody_is_the_developer_s1_41() {
    let store: Arc<dyn EventStore> = Arc::new(Memory::new());
    let config = Config { disabled: true, ..Config::default() };
    let access = Access::start(store, Arc::new(SimClock::default()), Arc::new(Keyring::generate()), &config);
    let developer = access.everybody().unwrap();
    assert_eq!(developer.name, "users/developer");
    assert_eq!(access.authenticate("anything"), Ok(developer.clone()));
    access.reached(Position::START, Instant::now() + Duration::from_secs(10)).await.unwrap();
    while access.age().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(access.decide(&developer, "auth.users.create", &Name::ROOT, Reach::Exact).is_allowed());
}
