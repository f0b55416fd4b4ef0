//! Each operation of a directory that keeps people and groups.

use serde_json::{Value, json};

use super::caller::Caller;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

async fn made(caller: &Caller<'_>, operation: &str, body: Value) -> String {
    let made = caller.call(operation, &[], body).await;
    made["id"].as_str().unwrap_or_else(|| panic!("{operation}: {made}")).to_owned()
}

async fn person(caller: &Caller<'_>, user_name: &str, is_active: bool) -> String {
    let body = json!({ "schemas": [USER], "userName": user_name, "active": is_active });
    made(caller, "scim.ScimService/CreateUser", body).await
}

/// Gives a person a role that counts when they are shut out.
async fn promote(caller: &Caller<'_>, id: &str) {
    let binding = json!({ "principal": format!("users/{id}"), "role": "roles/admin", "resource": "*" });
    caller.call("auth.AccessService/CreateBinding", &[], json!({ "binding": binding })).await;
}

fn patch(operations: Value) -> Value {
    json!({ "schemas": [PATCH], "Operations": operations })
}

pub async fn all(caller: &Caller<'_>) {
    let out = person(caller, "ops-out", false).await;
    let ada = person(caller, "ops-ada", true).await;
    promote(caller, &ada).await;
    let state = |name: &str, is_active: bool| json!({ "schemas": [USER], "userName": name, "active": is_active });
    caller.call("scim.ScimService/ReplaceUser", &[&ada], state("ops-ada-2", false)).await;
    caller.call("scim.ScimService/ReplaceUser", &[&ada], state("ops-ada-2", true)).await;
    for is_active in [false, true] {
        let operations = json!([
            { "op": "replace", "path": "active", "value": is_active },
            { "op": "replace", "path": "displayName", "value": format!("Ada, {is_active}") },
        ]);
        caller.call("scim.ScimService/PatchUser", &[&ada], patch(operations)).await;
    }

    let group = json!({ "schemas": [GROUP], "displayName": "Ops", "members": [{ "value": ada }] });
    let group = made(caller, "scim.ScimService/CreateGroup", group).await;
    let state = json!({ "schemas": [GROUP], "displayName": "Ops 2", "members": [{ "value": out }] });
    caller.call("scim.ScimService/ReplaceGroup", &[&group], state).await;
    let operations = json!([
        { "op": "remove", "path": format!("members[value eq \"{out}\"]") },
        { "op": "add", "path": "members", "value": [{ "value": ada }] },
        { "op": "replace", "path": "displayName", "value": "Ops 3" },
    ]);
    caller.call("scim.ScimService/PatchGroup", &[&group], patch(operations)).await;
    caller.call("scim.ScimService/DeleteGroup", &[&group], Value::Null).await;
    caller.call("scim.ScimService/DeleteUser", &[&ada], Value::Null).await;
}
