//! Secrets through the Rust SDK, from a suite behind its real door.

use cairn_client::{Client, Fault};
use serde_json::json;

use crate::suite::Suite;

const PROJECT: &str = "projects/default";
/// A variable that every process has.
const VARIABLE: &str = "PATH";
const CANARY: &str = "canary-of-the-rust-sdk-51c7";

async fn keep(suite: &Suite, id: &str, value: &str) {
    let body = json!({ "secret_id": id, "value": value });
    suite.ask("POST", &format!("/api/v1/{PROJECT}/secrets"), Some(&body)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_before_the_environment_and_only_one_that_is_not_there_gives_way_s0_93() {
    let suite = Suite::start().await;
    let client = Client::new(&suite.url(), Some(suite.admin.clone())).unwrap();
    let variable = std::env::var(VARIABLE).unwrap();
    assert_eq!(client.get_secret_or_env(PROJECT, VARIABLE).await.unwrap(), Some(variable.clone()));
    assert_eq!(client.get_secret_or_env(PROJECT, "NO_SUCH_VARIABLE_ANYWHERE").await.unwrap(), None);

    keep(&suite, VARIABLE, CANARY).await;
    assert_eq!(client.get_secret_or_env(PROJECT, VARIABLE).await.unwrap().as_deref(), Some(CANARY));
    let name = format!("{PROJECT}/secrets/{VARIABLE}");
    assert_eq!(client.get_secret(&format!("{name}/versions/1"), "a test").await.unwrap(), CANARY);

    // Nobody is given the environment for what they may not read, or for what is switched off.
    let powerless = Client::new(&suite.url(), Some(suite.powerless().await)).unwrap();
    let refused = powerless.get_secret_or_env(PROJECT, VARIABLE).await.unwrap_err();
    assert_eq!(refused.reason(), Some("ACCESS_DENIED"));
    suite.ask("POST", &format!("/api/v1/{name}/versions/1:disable"), Some(&json!({}))).await;
    let refused = client.get_secret(&format!("{name}/versions/1"), "").await.unwrap_err();
    assert_eq!(refused.reason(), Some("SECRET_VERSION_DISABLED"));
    assert!(!format!("{refused:?} {client_url}", client_url = suite.url()).contains(CANARY));
    // The newest that is enabled: there is none, so there is no value.
    assert_eq!(client.get_secret_or_env(PROJECT, VARIABLE).await.unwrap(), Some(variable));

    let url = suite.url();
    suite.stop().await;
    let nobody = Client::new(&url, None).unwrap().get_secret_or_env(PROJECT, VARIABLE).await;
    assert!(matches!(nobody, Err(Fault::Unreachable { .. })), "{nobody:?}");
}
