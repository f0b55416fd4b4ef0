//! Each operation on secrets in the words of Vault.

use serde_json::{Value, json};

use super::caller::Caller;

pub async fn all(caller: &Caller<'_>) {
    let write = json!({ "data": { "password": "x" } });
    let versions = json!({ "versions": [1] });
    caller.call("vault.VaultService/WriteSecret", &["vaulted"], write.clone()).await;
    caller.call("vault.VaultService/DeleteVersions", &["vaulted"], versions.clone()).await;
    caller.call("vault.VaultService/UndeleteVersions", &["vaulted"], versions.clone()).await;
    caller.call("vault.VaultService/DeleteLatestVersion", &["vaulted"], Value::Null).await;
    caller.call("vault.VaultService/DestroyVersions", &["vaulted"], versions).await;
    caller.call("vault.VaultService/WriteSecret", &["vaulted"], write).await;
    caller.call("vault.VaultService/DeleteSecret", &["vaulted"], Value::Null).await;
}
