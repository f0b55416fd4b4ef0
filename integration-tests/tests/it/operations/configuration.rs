//! Each operation of configuration and secrets, so that it writes every event that it can.

use serde_json::{Value, json};

use super::caller::Caller;

const PROJECT: &str = "projects/ops";

pub async fn configuration(caller: &Caller<'_>) {
    let environment = json!({"environment_id": "dev"});
    let environment = caller.make("config.ConfigService/CreateEnvironment", &[PROJECT], environment).await;
    let schema = format!("{PROJECT}/schemas/size");
    let integer = json!({"schema": {"type": "integer"}});
    caller.call("config.ConfigService/SetSchema", &[&schema], integer).await;
    let entry = format!("{environment}/entries/size");
    caller.call("config.ConfigService/SetEntry", &[&entry], json!({"value": 1})).await;
    let changes = json!({"changes": [{"key": "size", "value": 2}, {"key": "color", "value": "red"}]});
    caller.call("config.ConfigService/ReviseConfig", &[&environment], changes).await;
    caller.call("config.ConfigService/RollBackConfig", &[&environment], json!({"revision": 1})).await;
    caller.call("config.ConfigService/DeleteEntry", &[&entry], Value::Null).await;
    caller.call("config.ConfigService/DeleteSchema", &[&schema], Value::Null).await;
    caller.call("config.ConfigService/DeleteEnvironment", &[&environment], Value::Null).await;

    let made = json!({"secret_id": "key", "value": "a value"});
    let secret = caller.make("config.SecretService/CreateSecret", &[PROJECT], made).await;
    let described = json!({"description": "for the bank"});
    caller.call("config.SecretService/UpdateSecret", &[&secret], described).await;
    let another = json!({"value": "another value"});
    let version = caller.make("config.SecretService/CreateSecretVersion", &[&secret], another).await;
    caller.call("config.SecretService/DisableSecretVersion", &[&version], json!({})).await;
    caller.call("config.SecretService/EnableSecretVersion", &[&version], json!({})).await;
    caller.call("config.SecretService/DestroySecretVersion", &[&version], json!({})).await;
    caller.call("config.SecretService/DeleteSecret", &[&secret], Value::Null).await;
    caller.call("config.KeeperService/RotateKeeper", &[], json!({})).await;
}
