use std::time::Duration;

use cairn_contract::cairn::config::v1 as proto;
use prost_types::Value;
use prost_types::value::Kind;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::suite::{PROJECT, Suite, reason};

fn environment(id: &str) -> String {
    format!("{PROJECT}/environments/{id}")
}

fn number(number: f64) -> Value {
    Value { kind: Some(Kind::NumberValue(number)) }
}

fn text(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.into())) }
}

fn schema(kind: &str) -> Value {
    let fields = [("type".to_owned(), text(kind))].into();
    Value { kind: Some(Kind::StructValue(prost_types::Struct { fields })) }
}

async fn make(suite: &Suite, id: &str, inherits: &str) {
    let inherits = if inherits.is_empty() { String::new() } else { environment(inherits) };
    let request = proto::CreateEnvironmentRequest {
        parent: PROJECT.into(),
        environment_id: id.into(),
        environment: Some(proto::Environment { inherits, ..Default::default() }),
        request_id: String::new(),
    };
    suite.config().create_environment(suite.admin(request)).await.unwrap();
}

/// base, and dev and prod that inherit from it.
async fn begun() -> Suite {
    let suite = Suite::begun().await;
    make(&suite, "base", "").await;
    make(&suite, "dev", "base").await;
    make(&suite, "prod", "base").await;
    suite
}

async fn set_by(suite: &Suite, who: &str, id: &str, key: &str, value: Value) -> Result<proto::Entry, Status> {
    let request = proto::SetEntryRequest {
        name: format!("{}/entries/{key}", environment(id)),
        value: Some(value),
        reason: "a test".into(),
        ..Default::default()
    };
    Ok(suite.config().set_entry(suite.by(who, request)).await?.into_inner())
}

async fn set(suite: &Suite, id: &str, key: &str, value: Value) -> proto::Entry {
    set_by(suite, "users/admin", id, key, value).await.unwrap()
}

async fn get(suite: &Suite, id: &str, as_of: &str) -> proto::Config {
    let request = proto::GetConfigRequest { environment: environment(id), as_of: as_of.into() };
    suite.config().get_config(suite.admin(request)).await.unwrap().into_inner()
}

fn pairs(config: &proto::Config) -> Vec<(String, Value)> {
    config.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone().unwrap())).collect()
}

#[tokio::test]
async fn environments_inherit_and_differ_and_the_difference_is_told_s4_123() {
    let suite = begun().await;
    set(&suite, "base", "batch.size", number(32.0)).await;
    set(&suite, "base", "region", text("eu")).await;
    let entry = set(&suite, "dev", "batch.size", number(8.0)).await;
    assert_eq!((entry.origin, entry.revision, entry.author.as_str()), (environment("dev"), 1, "users/admin"));
    let dev = get(&suite, "dev", "").await;
    assert_eq!(pairs(&dev), [("batch.size".into(), number(8.0)), ("region".into(), text("eu"))]);
    assert_eq!(dev.entries[1].origin, environment("base"));

    let diff =
        proto::DiffConfigRequest { environment: environment("dev"), other: environment("prod"), ..Default::default() };
    let differences = suite.config().diff_config(suite.admin(diff.clone())).await.unwrap().into_inner().differences;
    assert_eq!(differences.len(), 1);
    let difference = &differences[0];
    assert_eq!(
        (difference.key.as_str(), &difference.left, &difference.right),
        ("batch.size", &Some(number(8.0)), &Some(number(32.0)))
    );
    assert_eq!((&difference.left_origin, &difference.right_origin), (&environment("dev"), &environment("base")));
    // Who may see one side only is told of neither.
    let of_dev = suite.user("roles/viewer", &environment("dev")).await;
    let refused = suite.config().diff_config(suite.by(&of_dev, diff)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let unset =
        proto::DeleteEntryRequest { name: format!("{}/entries/batch.size", environment("dev")), ..Default::default() };
    suite.config().delete_entry(suite.admin(unset)).await.unwrap();
    assert_eq!(pairs(&get(&suite, "dev", "").await)[0].1, number(32.0), "what is inherited counts again");
}

#[tokio::test]
async fn every_change_is_a_revision_that_can_be_read_compared_and_gone_back_to_s4_124() {
    let suite = begun().await;
    let editor = suite.user("roles/editor", PROJECT).await;
    set(&suite, "dev", "a", number(1.0)).await;
    let position = suite.deps.store.head().borrow().0.to_string();
    let changes = vec![
        proto::EntryChange { key: "a".into(), value: Some(number(2.0)) },
        proto::EntryChange { key: "b".into(), value: Some(text("x")) },
    ];
    let revise = proto::ReviseConfigRequest {
        environment: environment("dev"),
        changes,
        reason: "more".into(),
        etag: "1".into(),
        ..Default::default()
    };
    let revised = suite.config().revise_config(suite.by(&editor, revise.clone())).await.unwrap().into_inner();
    assert_eq!((revised.revision, &revised.author, revised.reason.as_str()), (2, &editor, "more"));
    let stale = suite.config().revise_config(suite.by(&editor, revise)).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));

    assert_eq!(pairs(&get(&suite, "dev", &position).await), [("a".into(), number(1.0))], "as it was");
    let diff = proto::DiffConfigRequest { environment: environment("dev"), ..Default::default() };
    let differences = suite.config().diff_config(suite.admin(diff)).await.unwrap().into_inner().differences;
    let keys: Vec<&str> = differences.iter().map(|difference| difference.key.as_str()).collect();
    assert_eq!((keys, differences[1].left.clone()), (vec!["a", "b"], None), "the last revision against the one before");

    let back = |revision| proto::RollBackConfigRequest {
        environment: environment("dev"),
        revision,
        reason: "it broke".into(),
        ..Default::default()
    };
    let rolled = suite.config().roll_back_config(suite.admin(back(1))).await.unwrap().into_inner();
    assert_eq!((rolled.revision, rolled.rolled_back_to), (3, Some(1)));
    assert_eq!(pairs(&get(&suite, "dev", "").await), [("a".into(), number(1.0))]);
    let empty = suite.config().roll_back_config(suite.admin(back(0))).await.unwrap().into_inner();
    assert_eq!((empty.revision, empty.rolled_back_to), (4, Some(0)));
    assert!(get(&suite, "dev", "").await.entries.is_empty());
    let refused = suite.config().roll_back_config(suite.admin(back(9))).await.unwrap_err();
    assert_eq!(reason(&refused), "CONFIG_REVISION_NOT_FOUND");

    let list =
        proto::ListConfigRevisionsRequest { environment: environment("dev"), page_size: 3, ..Default::default() };
    let page = suite.config().list_config_revisions(suite.admin(list)).await.unwrap().into_inner();
    let numbers: Vec<u32> = page.revisions.iter().map(|revision| revision.revision).collect();
    assert_eq!((numbers, page.next_page_token.is_empty()), (vec![4, 3, 2], false));
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_schema_changes_nothing_s4_126() {
    let suite = begun().await;
    let declare = proto::SetSchemaRequest {
        name: format!("{PROJECT}/schemas/size"),
        schema: Some(schema("integer")),
        ..Default::default()
    };
    suite.config().set_schema(suite.admin(declare.clone())).await.unwrap();
    set(&suite, "base", "size", number(3.0)).await;
    let refused = set_by(&suite, "users/admin", "dev", "size", text("canary")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "CONFIG_VALUE_INVALID"));
    assert!(!refused.message().contains("canary"), "{}", refused.message());
    assert_eq!(pairs(&get(&suite, "dev", "").await)[0].1, number(3.0));
    let text_only = proto::SetSchemaRequest { schema: Some(schema("string")), ..declare };
    let refused = suite.config().set_schema(suite.admin(text_only)).await.unwrap_err();
    assert_eq!(reason(&refused), "CONFIG_SCHEMA_UNMET");
    let list = proto::ListSchemasRequest { parent: PROJECT.into(), ..Default::default() };
    assert_eq!(suite.config().list_schemas(suite.admin(list)).await.unwrap().into_inner().schemas.len(), 1);
    let delete = proto::DeleteSchemaRequest { name: format!("{PROJECT}/schemas/size"), ..Default::default() };
    suite.config().delete_schema(suite.admin(delete)).await.unwrap();
    set(&suite, "dev", "size", text("anything")).await;
}

#[tokio::test]
async fn a_reference_must_lead_to_a_secret_of_the_project_and_is_never_followed() {
    let suite = begun().await;
    let secret = proto::CreateSecretRequest {
        parent: PROJECT.into(),
        secret_id: "key".into(),
        value: Some("canary".into()),
        ..Default::default()
    };
    suite.secrets().create_secret(suite.admin(secret)).await.unwrap();
    let good = "secret://projects/default/secrets/key@1";
    set(&suite, "dev", "auth", text(good)).await;
    assert_eq!(pairs(&get(&suite, "dev", "").await), [("auth".into(), text(good))]);
    for bad in [
        "secret://key",
        "secret://projects/default/secrets/none",
        "secret://projects/other/secrets/key",
        "secret://projects/default/secrets/key@x",
    ] {
        let refused = set_by(&suite, "users/admin", "dev", "auth", text(bad)).await.unwrap_err();
        assert_eq!(reason(&refused), "SECRET_REFERENCE_INVALID", "{bad}");
    }
}

#[tokio::test]
async fn a_change_reaches_who_watches_within_a_second_inherited_or_not_s4_126_s4_130() {
    let suite = begun().await;
    set(&suite, "base", "a", number(1.0)).await;
    let watch = proto::WatchConfigRequest { environment: environment("dev") };
    let mut watching = suite.config().watch_config(suite.admin(watch)).await.unwrap().into_inner();
    let first = watching.message().await.unwrap().unwrap();
    assert_eq!(pairs(&first), [("a".into(), number(1.0))]);
    let second = Duration::from_secs(1);
    for (id, value) in [("base", 2.0), ("dev", 3.0)] {
        set(&suite, id, "a", number(value)).await;
        let config = timeout(second, watching.message()).await.expect("within a second").unwrap().unwrap();
        assert_eq!(pairs(&config), [("a".into(), number(value))]);
    }
    // What changes nothing here is not told.
    set(&suite, "prod", "a", number(9.0)).await;
    set(&suite, "base", "a", number(4.0)).await;
    set(&suite, "dev", "b", number(5.0)).await;
    let config = timeout(second, watching.message()).await.expect("within a second").unwrap().unwrap();
    assert_eq!(pairs(&config), [("a".into(), number(3.0)), ("b".into(), number(5.0))]);
    let none = proto::WatchConfigRequest { environment: environment("none") };
    let refused = suite.config().watch_config(suite.admin(none)).await.unwrap_err();
    assert_eq!(reason(&refused), "ENVIRONMENT_NOT_FOUND");
}

#[tokio::test]
async fn a_role_on_one_environment_reaches_that_one() {
    let suite = begun().await;
    let of_dev = suite.user("roles/editor", &environment("dev")).await;
    set_by(&suite, &of_dev, "dev", "a", number(1.0)).await.unwrap();
    let refused = set_by(&suite, &of_dev, "prod", "a", number(1.0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let list = proto::ListEnvironmentsRequest { parent: PROJECT.into(), ..Default::default() };
    let found = suite.config().list_environments(suite.by(&of_dev, list)).await.unwrap().into_inner();
    let names: Vec<String> = found.environments.into_iter().map(|environment| environment.name).collect();
    assert_eq!(names, [environment("dev")]);
    let search = suite.config().search_environments(suite.admin(proto::SearchEnvironmentsRequest::default())).await;
    assert_eq!(search.unwrap().into_inner().environments.len(), 3);
    let in_use = proto::DeleteEnvironmentRequest { name: environment("base"), ..Default::default() };
    let refused = suite.config().delete_environment(suite.admin(in_use)).await.unwrap_err();
    assert_eq!(reason(&refused), "ENVIRONMENT_IN_USE");
    let delete = proto::DeleteEnvironmentRequest { name: environment("dev"), ..Default::default() };
    assert!(suite.config().delete_environment(suite.admin(delete)).await.unwrap().into_inner().deleted);
    let get = proto::GetConfigRequest { environment: environment("dev"), ..Default::default() };
    let refused = suite.config().get_config(suite.admin(get)).await.unwrap_err();
    assert_eq!(reason(&refused), "ENVIRONMENT_NOT_FOUND");
}
