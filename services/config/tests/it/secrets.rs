use std::fs;
use std::path::Path;
use std::time::Duration;

use cairn_contract::cairn::config::v1 as proto;
use cairn_contract::cairn::config::v1::secret_version::State;
use tonic::{Code, Status};

use crate::suite::{Ground, PROJECT, Suite, reason};

const SECRET: &str = "projects/default/secrets/bank-key";
const CANARY: &str = "canary-hunter2-canary";

fn create(value: Option<&str>) -> proto::CreateSecretRequest {
    proto::CreateSecretRequest {
        parent: PROJECT.into(),
        secret_id: "bank-key".into(),
        secret: Some(proto::Secret { description: "for the bank".into(), ..Default::default() }),
        value: value.map(str::to_owned),
        request_id: String::new(),
    }
}

fn add(value: &str) -> proto::CreateSecretVersionRequest {
    proto::CreateSecretVersionRequest { parent: SECRET.into(), value: value.into(), ..Default::default() }
}

fn version(number: &str) -> String {
    format!("{SECRET}/versions/{number}")
}

async fn access(suite: &Suite, who: &str, number: &str) -> Result<(String, String), Status> {
    let request = proto::AccessSecretVersionRequest { name: version(number), reason: "a test".into() };
    let answer = suite.secrets().access_secret_version(suite.by(who, request)).await?.into_inner();
    Ok((answer.name, answer.value))
}

async fn begun(values: &[&str]) -> Suite {
    let suite = Suite::begun().await;
    suite.secrets().create_secret(suite.admin(create(None))).await.unwrap();
    for value in values {
        suite.secrets().create_secret_version(suite.admin(add(value))).await.unwrap();
    }
    suite
}

#[tokio::test]
async fn a_secret_is_written_read_by_version_and_destroyed_s4_125_s4_131() {
    let suite = Suite::begun().await;
    let made = suite.secrets().create_secret(suite.admin(create(Some("one")))).await.unwrap().into_inner();
    assert_eq!((made.name.as_str(), made.latest_version, made.description.as_str()), (SECRET, 1, "for the bank"));
    let added = suite.secrets().create_secret_version(suite.admin(add("two"))).await.unwrap().into_inner();
    assert_eq!(
        (added.name.clone(), added.state(), added.creator.as_str()),
        (version("2"), State::Enabled, "users/admin")
    );
    assert_eq!(access(&suite, "users/admin", "1").await.unwrap(), (version("1"), "one".into()));
    assert_eq!(access(&suite, "users/admin", "latest").await.unwrap(), (version("2"), "two".into()));

    let disable = proto::DisableSecretVersionRequest { name: version("2"), ..Default::default() };
    let disabled = suite.secrets().disable_secret_version(suite.admin(disable)).await.unwrap().into_inner();
    assert_eq!(disabled.state(), State::Disabled);
    assert_eq!(reason(&access(&suite, "users/admin", "2").await.unwrap_err()), "SECRET_VERSION_DISABLED");
    assert_eq!(access(&suite, "users/admin", "latest").await.unwrap().1, "one", "the newest that is enabled");
    let enable = proto::EnableSecretVersionRequest { name: version("2"), ..Default::default() };
    suite.secrets().enable_secret_version(suite.admin(enable)).await.unwrap();
    assert_eq!(access(&suite, "users/admin", "latest").await.unwrap().1, "two");

    let destroy =
        || proto::DestroySecretVersionRequest { name: version("1"), reason: "it leaked".into(), ..Default::default() };
    for _ in 0..2 {
        let destroyed = suite.secrets().destroy_secret_version(suite.admin(destroy())).await.unwrap().into_inner();
        assert_eq!(destroyed.state(), State::Destroyed);
    }
    assert_eq!(suite.count("SecretVersionDestroyed").await, 1);
    assert_eq!(reason(&access(&suite, "users/admin", "1").await.unwrap_err()), "SECRET_VERSION_DESTROYED");

    let delete = || proto::DeleteSecretRequest { name: SECRET.into(), ..Default::default() };
    assert!(suite.secrets().delete_secret(suite.admin(delete())).await.unwrap().into_inner().deleted);
    assert_eq!(reason(&access(&suite, "users/admin", "2").await.unwrap_err()), "SECRET_VERSION_DESTROYED");
    assert_eq!(reason(&access(&suite, "users/admin", "latest").await.unwrap_err()), "SECRET_NOT_FOUND");
    let list = proto::ListSecretsRequest { parent: PROJECT.into(), ..Default::default() };
    assert!(suite.secrets().list_secrets(suite.admin(list)).await.unwrap().into_inner().secrets.is_empty());
    let again = suite.secrets().create_secret(suite.admin(create(Some("three")))).await.unwrap().into_inner();
    assert_eq!((again.latest_version, again.last_version), (3, 3), "numbers are never given twice");
    assert_eq!(access(&suite, "users/admin", "latest").await.unwrap().1, "three");
}

#[tokio::test]
async fn who_writes_a_secret_need_not_be_able_to_read_it_and_reading_is_on_record_s4_125() {
    let suite = begun(&["one"]).await;
    let editor = suite.user("roles/editor", PROJECT).await;
    let viewer = suite.user("roles/viewer", PROJECT).await;
    let workload = suite.user("roles/manager", SECRET).await;
    suite.secrets().create_secret_version(suite.by(&editor, add("two"))).await.unwrap();
    for who in [&editor, &viewer] {
        assert_eq!(access(&suite, who, "latest").await.unwrap_err().code(), Code::PermissionDenied);
        let get = proto::GetSecretRequest { name: SECRET.into(), ..Default::default() };
        assert_eq!(suite.secrets().get_secret(suite.by(who, get)).await.unwrap().into_inner().latest_version, 2);
    }
    let destroy = proto::DestroySecretVersionRequest { name: version("1"), ..Default::default() };
    let refused = suite.secrets().destroy_secret_version(suite.by(&editor, destroy)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    // A role on one secret reaches that secret.
    let other = proto::CreateSecretRequest { secret_id: "other".into(), ..create(Some("x")) };
    suite.secrets().create_secret(suite.admin(other)).await.unwrap();
    let request = proto::AccessSecretVersionRequest {
        name: "projects/default/secrets/other/versions/latest".into(),
        ..Default::default()
    };
    let refused = suite.secrets().access_secret_version(suite.by(&workload, request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let before = suite.count("ReadRecorded").await;
    assert_eq!(access(&suite, &workload, "latest").await.unwrap().1, "two");
    assert_eq!(suite.count("ReadRecorded").await, before + 1, "it is on record when it is answered");
    let search = suite.secrets().search_secrets(suite.by(&workload, proto::SearchSecretsRequest::default())).await;
    let found: Vec<String> = search.unwrap().into_inner().secrets.into_iter().map(|secret| secret.name).collect();
    assert_eq!(found, [SECRET], "lists show what may be seen");
}

/// Whether a text is in a file below a folder: as it is, in hex or in base64.
fn holds(folder: &Path, needle: &str) -> bool {
    let hex = hex(needle);
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = fs::read(&path).unwrap();
        [needle, &hex].iter().any(|form| bytes.windows(form.len()).any(|window| window == form.as_bytes()))
    })
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_value_is_in_no_event_no_table_and_no_refusal() {
    let suite = begun(&[CANARY]).await;
    let too_long = format!("{CANARY}{}", "x".repeat(65 << 10));
    for (request, expected) in [
        (proto::CreateSecretVersionRequest { after_version: Some(7), ..add(CANARY) }, "SECRET_VERSION_AHEAD"),
        (proto::CreateSecretVersionRequest { parent: format!("{SECRET}-none"), ..add(CANARY) }, "SECRET_NOT_FOUND"),
        (add(&too_long), "VALIDATION_ERROR"),
        (add(""), "VALIDATION_ERROR"),
    ] {
        let refused = suite.secrets().create_secret_version(suite.admin(request)).await.unwrap_err();
        assert_eq!(reason(&refused), expected);
        assert!(!format!("{refused:?}").contains("canary"));
    }
    for event in suite.log().await {
        let bytes = [&*event.payload, &*event.metadata].concat();
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", event.kind);
    }
    assert!(!holds(suite.ground.folder(), CANARY));
    assert!(holds(suite.ground.folder(), "bank-key"), "the search finds what is there");
}

#[tokio::test]
async fn a_repeat_is_told_from_another_request_by_what_nobody_can_guess_from() {
    let suite = begun(&[]).await;
    let request = |value: &str| proto::CreateSecretVersionRequest { request_id: "r-1".into(), ..add(value) };
    let first = suite.secrets().create_secret_version(suite.admin(request("1234"))).await.unwrap().into_inner();
    let again = suite.secrets().create_secret_version(suite.admin(request("1234"))).await.unwrap().into_inner();
    assert_eq!((again.name, suite.count("SecretVersionAdded").await), (first.name, 1));
    let other = suite.secrets().create_secret_version(suite.admin(request("1235"))).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_REUSED");
    // The digest that tells them apart is not that of the request, which anybody could work out for every PIN.
    use prost::Message;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &request("1234").encode_to_vec());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for event in suite.log().await {
        assert!(!String::from_utf8_lossy(&event.metadata).contains(&digest));
    }
}

#[tokio::test]
async fn values_added_at_once_get_a_number_each_and_all_open() {
    let suite = begun(&[]).await;
    let adding = (0..12).map(|at| {
        let (mut client, request) = (suite.secrets(), suite.admin(add(&format!("value {at}"))));
        tokio::spawn(async move { client.create_secret_version(request).await.map(|made| made.into_inner().name) })
    });
    let mut names = vec![];
    for (at, adding) in adding.collect::<Vec<_>>().into_iter().enumerate() {
        names.push((at, adding.await.unwrap().unwrap()));
    }
    for (at, name) in names {
        let number = name.rsplit('/').next().unwrap();
        assert_eq!(access(&suite, "users/admin", number).await.unwrap().1, format!("value {at}"));
    }
    assert_eq!(suite.count("SecretVersionAdded").await, 12);
}

#[tokio::test]
async fn keys_are_rotated_while_values_are_read_s4_125() {
    let suite = begun(&["one", "two"]).await;
    let rotate = |rewrap_only| proto::RotateKeeperRequest { rewrap_only, request_id: "r-7".into() };
    let before = suite.keepers().get_keeper(suite.admin(proto::GetKeeperRequest {})).await.unwrap().into_inner();
    assert_eq!((before.kind.as_str(), before.wrapped[&before.newest_key]), ("file", 2));
    let reading = tokio::spawn({
        let mut client = suite.secrets();
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let request = proto::AccessSecretVersionRequest { name: version("1"), ..Default::default() };
                suite.admin(request)
            })
            .collect();
        async move {
            for request in requests {
                assert_eq!(client.access_secret_version(request).await.unwrap().into_inner().value, "one");
            }
        }
    });
    let after = suite.keepers().rotate_keeper(suite.admin(rotate(false))).await.unwrap().into_inner();
    reading.await.unwrap();
    assert_ne!(after.newest_key, before.newest_key);
    assert_eq!(after.wrapped.into_iter().collect::<Vec<_>>(), [(after.newest_key.clone(), 2)]);
    let repeated = suite.keepers().rotate_keeper(suite.admin(rotate(false))).await.unwrap().into_inner();
    assert_eq!(repeated.newest_key, after.newest_key, "a repeat makes no further key");
    assert_eq!(suite.count("KeeperRotated").await, 1);
    let viewer = suite.user("roles/manager", PROJECT).await;
    let refused = suite.keepers().rotate_keeper(suite.by(&viewer, rotate(true))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_key_that_a_backup_brings_back_is_forgotten_again() {
    let ground = Ground::new();
    let table = ground.folder().join("sealing.sqlite");
    let suite = ground.start().await;
    suite.secrets().create_secret(suite.admin(create(Some("one")))).await.unwrap();
    let backup = fs::read(&table).unwrap();
    let destroy = proto::DestroySecretVersionRequest { name: version("1"), ..Default::default() };
    suite.secrets().destroy_secret_version(suite.admin(destroy)).await.unwrap();
    drop(suite);
    fs::write(&table, backup).unwrap();
    assert!(holds(ground.folder(), "bank-key/versions/1"));
    let suite = ground.start().await;
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    while table_holds(&table, "bank-key/versions/1") {
        assert!(tokio::time::Instant::now() < patience, "the key is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(suite);
}

fn table_holds(table: &Path, needle: &str) -> bool {
    fs::read(table).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn what_a_secret_was_can_be_asked_and_pages_follow_each_other() {
    let suite = begun(&["one"]).await;
    let position = suite.deps.store.head().borrow().0.to_string();
    for value in ["two", "three"] {
        suite.secrets().create_secret_version(suite.admin(add(value))).await.unwrap();
    }
    let then = proto::GetSecretRequest { name: SECRET.into(), as_of: position };
    assert_eq!(suite.secrets().get_secret(suite.admin(then)).await.unwrap().into_inner().latest_version, 1);
    let (mut token, mut names) = (String::new(), vec![]);
    loop {
        let list = proto::ListSecretVersionsRequest {
            parent: SECRET.into(),
            page_size: 2,
            page_token: token,
            as_of: String::new(),
        };
        let page = suite.secrets().list_secret_versions(suite.admin(list)).await.unwrap().into_inner();
        names.extend(page.versions.into_iter().map(|version| version.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, [version("3"), version("2"), version("1")]);
}
