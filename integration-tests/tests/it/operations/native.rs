//! Each operation of Cairn's own services, so that it writes every event that it can.

use serde_json::{Value, json};

use super::caller::Caller;

const PROJECT: &str = "projects/ops";
/// Of the three bytes that the JSON text `"x"` has.
const SHA256_OF_X: &str = "ba2df4903a2c14e86dc3bcca58911b44ac1d2514b7227bf6eb08cfb978f55a1b";
const TIME: &str = "2026-01-02T03:04:05Z";

/// A binding that makes a principal an administrator.
async fn administrator(caller: &Caller<'_>, principal: &str) -> String {
    let binding = json!({"binding": {"principal": principal, "role": "roles/admin", "resource": "*"}});
    caller.make("auth.AccessService/CreateBinding", &[], binding).await
}

pub async fn identities(caller: &Caller<'_>) {
    caller.call("auth.ProjectService/CreateProject", &[], json!({"project_id": "ops"})).await;
    caller.call("auth.ProjectService/UpdateProject", &[PROJECT, "?update_mask=title"], json!({"title": "Ops"})).await;
    caller.call("auth.ProjectService/DeleteProject", &[PROJECT], Value::Null).await;
    caller.call("auth.ProjectService/RestoreProject", &[PROJECT], json!({})).await;

    let account = json!({"service_account_id": "ops"});
    let account = caller.make("auth.ServiceAccountService/CreateServiceAccount", &[], account).await;
    let title = json!({"title": "Ops"});
    caller.call("auth.ServiceAccountService/UpdateServiceAccount", &[&account, "?update_mask=title"], title).await;
    let binding = administrator(caller, &account).await;
    caller.call("auth.ServiceAccountService/DisableServiceAccount", &[&account], json!({})).await;
    caller.call("auth.ServiceAccountService/EnableServiceAccount", &[&account], json!({})).await;
    let grant = json!({"principal": account, "role": "roles/admin"});
    caller.call("auth.AccessService/GrantRole", &[PROJECT], grant).await;
    let key = json!({"api_key": {"title": "ops"}});
    let key = caller.make("auth.ApiKeyService/CreateApiKey", &[&account], key).await;
    caller.call("auth.ApiKeyService/RotateApiKey", &[&key], json!({})).await;
    caller.call("auth.ApiKeyService/RevokeApiKey", &[&key], json!({})).await;
    caller.call("auth.AccessService/DeleteBinding", &[&binding], Value::Null).await;
    administrator(caller, &account).await;
    caller.call("auth.ServiceAccountService/DeleteServiceAccount", &[&account], Value::Null).await;

    let user = json!({"user": {"display_name": "Ada"}});
    let deleted = caller.make("auth.UserService/CreateUser", &[], user.clone()).await;
    let name = json!({"display_name": "Ada L."});
    caller.call("auth.UserService/UpdateUser", &[&deleted, "?update_mask=display_name"], name).await;
    administrator(caller, &deleted).await;
    caller.call("auth.UserService/DisableUser", &[&deleted], json!({})).await;
    caller.call("auth.UserService/EnableUser", &[&deleted], json!({})).await;
    caller.call("auth.UserService/DeleteUser", &[&deleted], Value::Null).await;
    let erased = caller.make("auth.UserService/CreateUser", &[], user).await;
    administrator(caller, &erased).await;
    caller.call("auth.UserService/EraseUser", &[&erased], json!({"reason": "asked for"})).await;
}

pub async fn organizations(caller: &Caller<'_>) {
    let made = json!({"organization_id": "ops", "organization": {"title": "Ops"}});
    let organization = caller.make("auth.OrganizationService/CreateOrganization", &[], made).await;
    let update = "auth.OrganizationService/UpdateOrganization";
    caller.call(update, &[&organization, "?update_mask=title"], json!({"title": "Ops 2"})).await;
    let apart = json!({"separated_duties": [{"role": "roles/editor", "other_role": "roles/manager"}]});
    caller.call(update, &[&organization, "?update_mask=separated_duties"], apart).await;
    caller.call("auth.OrganizationService/DeleteOrganization", &[&organization], Value::Null).await;
    caller.call("auth.OrganizationService/RestoreOrganization", &[&organization], json!({})).await;
    let tags = json!({"tags": {"tier": "test"}});
    caller.call("auth.ProjectService/ClassifyProject", &[PROJECT], tags).await;
    let quota = json!({"quota": {"runs_max": 1000, "concurrent_runs_max": 1000, "storage_bytes_max": "1000000000"}});
    caller.call("auth.ProjectService/SetProjectQuota", &[PROJECT], quota).await;

    let role = json!({"role_id": "reader", "role": {"permissions": ["experiments.runs.get"]}});
    let role = caller.make("auth.RoleService/CreateRole", &[&organization], role).await;
    let words = json!({"permissions": ["experiments.runs.get", "experiments.runs.list"]});
    caller.call("auth.RoleService/UpdateRole", &[&role, "?update_mask=permissions"], words).await;
    caller.call("auth.RoleService/DeleteRole", &[&role], Value::Null).await;

    let guardrail = json!({"guardrail_id": "keep", "guardrail": {"template": "approver-not-author"}});
    let guardrail = caller.make("auth.GuardrailService/CreateGuardrail", &[&organization], guardrail).await;
    let two = json!({"template": "approvals"});
    caller.call("auth.GuardrailService/UpdateGuardrail", &[&guardrail, "?update_mask=template"], two).await;
    caller.call("auth.GuardrailService/DeleteGuardrail", &[&guardrail], Value::Null).await;

    let group = json!({"group_id": "ml", "group": {"display_name": "ML"}});
    let group = caller.make("auth.GroupService/CreateGroup", &[&organization], group).await;
    let external = json!({"external_id": "4711"});
    caller.call("auth.GroupService/UpdateGroup", &[&group, "?update_mask=external_id"], external).await;
    let user = json!({"user": {"display_name": "Grace"}});
    let user = caller.make("auth.UserService/CreateUser", &[], user).await;
    let members = json!({"members": [user]});
    caller.call("auth.GroupService/AddGroupMembers", &[&group], members.clone()).await;
    caller.call("auth.GroupService/RemoveGroupMembers", &[&group], members).await;
    let denial = json!({"principal": group, "effect": "EFFECT_DENY", "permissions": ["experiments.runs.delete"]});
    let denial = caller.make("auth.AccessService/GrantRole", &[PROJECT], denial).await;
    caller.call("auth.AccessService/DeleteBinding", &[&denial], Value::Null).await;
    let everywhere = json!({"binding": {
        "principal": group, "effect": "EFFECT_DENY", "role": "roles/editor", "resource": "*",
    }});
    caller.call("auth.AccessService/CreateBinding", &[], everywhere).await;
    caller.call("auth.GroupService/DeleteGroup", &[&group], Value::Null).await;
    emergencies(caller, &organization).await;
}

/// One that somebody agrees to, and that is ended and looked at; and one that is taken alone.
async fn emergencies(caller: &Caller<'_>, organization: &str) {
    let user = json!({"user": {"display_name": "Second"}});
    let second = caller.make("auth.UserService/CreateUser", &[], user).await;
    administrator(caller, &second).await;
    let key = caller.call("auth.ApiKeyService/CreateApiKey", &[&second], json!({})).await;
    let key = key["secret"].as_str().expect("a new key is shown");
    let declare = "auth.BreakGlassService/CreateBreakGlassActivation";
    let why = json!({"break_glass_activation": {"reason": "down", "ticket": "INC-1"}});
    let agreed = caller.make(declare, &[organization], why.clone()).await;
    let act = |verb: &str| format!("auth.BreakGlassService/{verb}BreakGlassActivation");
    caller.call_with(key, &act("Approve"), &[&agreed], json!({})).await;
    caller.call(&act("End"), &[&agreed], json!({})).await;
    caller.call_with(key, &act("Review"), &[&agreed], json!({"review": "fine"})).await;
    let alone = caller.make(declare, &[organization], why).await;
    caller.call(&act("Activate"), &[&alone], json!({})).await;
}

pub async fn experiments(caller: &Caller<'_>) {
    let made = json!({"display_name": "ops", "description": "one", "tags": {"a": "1"}});
    let experiment = caller.make("experiments.ExperimentService/CreateExperiment", &[PROJECT], made).await;
    let update = "experiments.ExperimentService/UpdateExperiment";
    caller.call(update, &[&experiment, "?update_mask=display_name"], json!({"display_name": "ops 2"})).await;
    caller.call(update, &[&experiment, "?update_mask=description"], json!({"description": "two"})).await;
    caller.call(update, &[&experiment, "?update_mask=description"], json!({"description": ""})).await;
    let tags = "experiments.ExperimentService/SetExperimentTags";
    caller.call(tags, &[&experiment], json!({"tags": {"b": "1"}, "deleted_keys": ["a"]})).await;
    caller.call("experiments.ExperimentService/DeleteExperiment", &[&experiment], Value::Null).await;
    caller.call("experiments.ExperimentService/RestoreExperiment", &[&experiment], json!({})).await;
    let import = json!({"experiment_id": "7", "display_name": "old", "create_time": TIME, "source": "elsewhere"});
    caller.call("experiments.ImportService/ImportExperiment", &[PROJECT], import).await;
    let import =
        json!({"run_id": "old", "start_time": TIME, "source": "elsewhere", "params": many(4), "tags": many(4)});
    caller.call("experiments.ImportService/ImportRun", &[&experiment], import).await;
    let import = json!({"logged_model_id": "old", "create_time": TIME, "source": "elsewhere"});
    caller.call("experiments.ImportService/ImportLoggedModel", &[&experiment], import).await;
    runs(caller, &experiment).await;
    logged_models(caller, &experiment).await;
}

/// Pairs for which a run has room, or one too many of them.
fn many(count: usize) -> Value {
    (0..count).map(|at| (format!("k{at}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

async fn runs(caller: &Caller<'_>, experiment: &str) {
    let begun = json!({"display_name": "ops", "params": many(4), "tags": many(4)});
    let full = caller.make("experiments.RunService/CreateRun", &[experiment], begun).await;
    let run = caller.make("experiments.RunService/CreateRun", &[experiment], json!({})).await;
    let update = "experiments.RunService/UpdateRun";
    caller.call(update, &[&run, "?update_mask=display_name"], json!({"display_name": "ops 2"})).await;
    caller.call(update, &[&run, "?update_mask=description"], json!({"description": "two"})).await;
    caller.call(update, &[&run, "?update_mask=description"], json!({"description": ""})).await;
    let metrics: Vec<Value> = (0..4).map(|at| json!({"key": format!("m{at}"), "value": 1.0})).collect();
    let tags = json!({"a": "1", "b": "1", "c": "1", "d": "1", "mlflow.runName": "ops 3"});
    let batch = json!({"batch_id": "b-1", "metrics": metrics, "params": many(3), "tags": tags});
    caller.call("experiments.RunService/LogBatch", &[&run], batch).await;
    let tags = json!({"tags": {"a": "2", "mlflow.runName": "ops 4"}, "deleted_keys": ["b"]});
    caller.call("experiments.RunService/SetRunTags", &[&run], tags).await;
    caller.call("experiments.RunService/SetRunTags", &[&full], json!({"tags": {"one more": "2"}})).await;
    // Where there is no room for a description either.
    let reserved = (0..250).map(|at| (format!("mlflow.x{at}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    caller.call("experiments.RunService/SetRunTags", &[&full], json!({"tags": reserved})).await;
    caller.call(update, &[&full, "?update_mask=description"], json!({"description": "two"})).await;
    let inputs = json!({"datasets": [{"display_name": "d", "digest": "1", "source_type": "local", "source": "x"}]});
    caller.call("experiments.RunService/LogInputs", &[&run], inputs).await;
    let model = json!({"display_name": "made"});
    let model = caller.make("experiments.LoggedModelService/CreateLoggedModel", &[experiment], model).await;
    let outputs = json!({"models": [{"model": model}]});
    caller.call("experiments.RunService/LogOutputs", &[&run], outputs).await;
    let lines = json!({"lines": [{"text": "hello"}]});
    caller.call("experiments.RunLogService/AppendRunLog", &[&run], lines).await;
    artifacts(caller, &run).await;
    let end = json!({"state": "RUN_STATE_FINISHED"});
    caller.call("experiments.RunService/FinishRun", &[&run], end).await;
    caller.call("experiments.RunService/DeleteRun", &[&run], Value::Null).await;
    caller.call("experiments.RunService/RestoreRun", &[&run], json!({})).await;
}

async fn artifacts(caller: &Caller<'_>, run: &str) {
    let stored = caller.make("experiments.ArtifactService/UploadArtifact", &[run, "a.json"], json!("x")).await;
    caller.call("experiments.ArtifactService/SignArtifactAddress", &[&stored], json!({})).await;
    caller.call("experiments.ArtifactService/DeleteArtifact", &[&stored], Value::Null).await;
    let begin = "experiments.ArtifactService/BeginArtifactUpload";
    let parts = json!({"path": "c.json", "size_bytes": "3", "sha256": SHA256_OF_X, "part_bytes": "5242880"});
    let begun = caller.call(begin, &[run], parts).await;
    let upload = json!({"upload": begun["upload"]});
    caller.call("experiments.ArtifactService/SignArtifactUploadParts", &[run], upload.clone()).await;
    caller.call("experiments.ArtifactService/AbortArtifactUpload", &[run], upload).await;
    let stored = caller.call("experiments.ArtifactService/UploadArtifact", &[run, "b.json"], json!("x")).await;
    let known = json!({"path": "d.json", "size_bytes": stored["size_bytes"], "sha256": stored["sha256"]});
    let begun = caller.call(begin, &[run], known).await;
    let address = begun["address"].as_str().unwrap();
    let query = address.split_once("/api/v1/objects/").expect("the store of this suite signs addresses of its own").1;
    caller.call("experiments.ObjectService/WriteObject", &[query], json!("x")).await;
    let upload = json!({"upload": begun["upload"]});
    caller.call("experiments.ArtifactService/CompleteArtifactUpload", &[run], upload).await;
}

async fn logged_models(caller: &Caller<'_>, experiment: &str) {
    let create = "experiments.LoggedModelService/CreateLoggedModel";
    let finalize = "experiments.LoggedModelService/FinalizeLoggedModel";
    let ready = caller.make(create, &[experiment], json!({"display_name": "a", "tags": {"a": "1"}})).await;
    let failed = caller.make(create, &[experiment], json!({"display_name": "b"})).await;
    let tags = json!({"tags": {"b": "1"}, "deleted_keys": ["a"]});
    caller.call("experiments.LoggedModelService/SetLoggedModelTags", &[&ready], tags).await;
    let params = json!({"params": {"p": "1"}});
    caller.call("experiments.LoggedModelService/LogLoggedModelParams", &[&ready], params).await;
    caller.call(finalize, &[&ready], json!({"state": "LOGGED_MODEL_STATE_READY"})).await;
    caller.call(finalize, &[&failed], json!({"state": "LOGGED_MODEL_STATE_FAILED"})).await;
    caller.call("experiments.LoggedModelService/DeleteLoggedModel", &[&failed], Value::Null).await;
}

/// A model with so many versions.
async fn model(caller: &Caller<'_>, id: &str, versions: usize) -> String {
    let made = json!({"registered_model_id": id, "display_name": id, "tags": {"a": "1"}});
    let model = caller.make("registry.RegisteredModelService/CreateRegisteredModel", &[PROJECT], made).await;
    for _ in 0..versions {
        let version = json!({"model_version": {"tags": {"a": "1"}}});
        caller.call("registry.ModelVersionService/CreateModelVersion", &[&model], version).await;
    }
    model
}

pub async fn registry(caller: &Caller<'_>) {
    let name = model(caller, "ops", 2).await;
    let update = "registry.RegisteredModelService/UpdateRegisteredModel";
    caller.call(update, &[&name, "?update_mask=display_name"], json!({"display_name": "ops 2"})).await;
    caller.call(update, &[&name, "?update_mask=description"], json!({"description": "two"})).await;
    let tags = json!({"tags": {"b": "1"}, "deleted_keys": ["a"]});
    caller.call("registry.RegisteredModelService/SetRegisteredModelTags", &[&name], tags.clone()).await;
    let alias = json!({"alias": "best", "version": 1});
    caller.call("registry.RegisteredModelService/SetModelAlias", &[&name], alias.clone()).await;
    caller.call("registry.RegisteredModelService/RemoveModelAlias", &[&name], json!({"alias": "best"})).await;
    caller.call("registry.RegisteredModelService/SetModelAlias", &[&name], alias).await;
    let first = format!("{name}/versions/1");
    let update = "registry.ModelVersionService/UpdateModelVersion";
    caller.call(update, &[&first, "?update_mask=description"], json!({"description": "two"})).await;
    caller.call("registry.ModelVersionService/SetModelVersionTags", &[&first], tags).await;
    let stage = json!({"stage": "STAGE_STAGING"});
    caller.call("registry.ModelVersionService/TransitionModelVersion", &[&first], stage).await;
    caller.call("registry.ModelVersionService/DeleteModelVersion", &[&first], Value::Null).await;
    let import = json!({"display_name": "old", "create_time": TIME, "source": "elsewhere"});
    let old = caller.make("registry.ImportService/ImportRegisteredModel", &[PROJECT], import).await;
    let import = json!({"version": 3, "model_version": {}, "create_time": TIME, "source": "elsewhere"});
    caller.call("registry.ImportService/ImportModelVersion", &[&old], import).await;
    let policy = json!({"required": true});
    let scope = format!("{name}/signingPolicies/default");
    caller.call("registry.SigningPolicyService/UpdateSigningPolicy", &[&scope], policy).await;
    functions(caller).await;
    hooks(caller).await;
    promotions(caller).await;
}

async fn functions(caller: &Caller<'_>) {
    let function = json!({"function_id": "f", "function": {"spec": {"image": "a"}}});
    let name = caller.make("registry.FunctionService/CreateFunction", &[PROJECT], function).await;
    caller.call("registry.FunctionService/PatchFunction", &[&name], json!({"spec": {"image": "b"}})).await;
    caller.call("registry.FunctionVersionService/UploadFunctionPackage", &[&name, SHA256_OF_X], json!("x")).await;
    let version = json!({"function_version_id": "1.0", "function_version": {"sha256": SHA256_OF_X}});
    caller.call("registry.FunctionVersionService/CreateFunctionVersion", &[&name], version).await;
    caller.call("registry.FunctionService/DeleteFunction", &[&name], Value::Null).await;
}

async fn hooks(caller: &Caller<'_>) {
    let expression = json!({"expression": "true", "message": "never"});
    let hook = json!({"timing": "HOOK_TIMING_BEFORE", "triggers": ["HOOK_TRIGGER_MODEL_CREATE"],
                      "expression": expression});
    let hook = json!({"hook_id": "h", "hook": hook});
    let name = caller.make("registry.HookService/CreateHook", &[PROJECT], hook).await;
    let update = "registry.HookService/UpdateHook";
    caller.call(update, &[&name, "?update_mask=display_name"], json!({"display_name": "two"})).await;
    let redefined = json!({"expression": {"expression": "1 == 1", "message": "never"}});
    caller.call(update, &[&name, "?update_mask=expression"], redefined).await;
    caller.call("registry.HookService/DisableHook", &[&name], json!({})).await;
    caller.call("registry.HookService/EnableHook", &[&name], json!({})).await;
    caller.call("registry.HookService/DeleteHook", &[&name], Value::Null).await;
}

/// Somebody who asks for promotions, so that the administrator may approve them.
async fn asker(caller: &Caller<'_>) -> String {
    let user = json!({"user": {"display_name": "Asks"}});
    let user = caller.make("auth.UserService/CreateUser", &[], user).await;
    let binding = json!({"binding": {"principal": user, "role": "roles/manager", "resource": PROJECT}});
    caller.call("auth.AccessService/CreateBinding", &[], binding).await;
    let key = caller.call("auth.ApiKeyService/CreateApiKey", &[&user], json!({"api_key": {}})).await;
    key["secret"].as_str().unwrap().to_owned()
}

async fn promotions(caller: &Caller<'_>) {
    let asker = asker(caller).await;
    let name = model(caller, "promoted", 4).await;
    let terms = json!({"terms": {"protected_aliases": ["champion"], "protected_stages": ["STAGE_PRODUCTION"]}});
    let update = "registry.PromotionService/UpdatePromotionPolicy";
    let of_project = format!("{PROJECT}/promotionPolicies/default");
    caller.call(update, &[&of_project], terms.clone()).await;
    let of_model = format!("{name}/promotionPolicies/default");
    caller.call(update, &[&of_model], terms).await;
    let ask = async |version: u32| {
        let moves =
            json!([{"version": version, "alias": "champion"}, {"version": version, "stage": "STAGE_PRODUCTION"}]);
        let asked = json!({"moves": moves});
        let asked = caller.call_with(&asker, "registry.PromotionService/CreatePromotion", &[&name], asked).await;
        asked["name"].as_str().unwrap().to_owned()
    };
    let first = ask(1).await;
    caller.call("registry.PromotionService/ApprovePromotion", &[&first], json!({})).await;
    let second = ask(2).await;
    caller.call("registry.PromotionService/RejectPromotion", &[&second], json!({})).await;
    let third = ask(2).await;
    caller.call_with(&asker, "registry.PromotionService/WithdrawPromotion", &[&third], json!({})).await;
    let moves = json!([{"version": 2, "alias": "champion"}, {"version": 2, "stage": "STAGE_PRODUCTION"}]);
    let bypass = json!({"moves": moves, "justification": "it burns"});
    caller.call("registry.PromotionService/BypassPromotion", &[&name], bypass).await;
    completed(caller, &asker).await;
    // A model that is deleted takes what is asked for with it.
    let gone = model(caller, "gone", 1).await;
    let asked = json!({"moves": [{"version": 1, "alias": "champion"}]});
    caller.call("registry.PromotionService/CreatePromotion", &[&gone], asked).await;
    caller.call("registry.RegisteredModelService/DeleteRegisteredModel", &[&gone], Value::Null).await;
}

/// Approved while its version stands where the move does not begin, and therefore not carried out by that.
async fn completed(caller: &Caller<'_>, asker: &str) {
    let name = model(caller, "completed", 1).await;
    let version = format!("{name}/versions/1");
    let stand = async |stage: &str| {
        let stage = json!({"stage": stage});
        caller.call("registry.ModelVersionService/TransitionModelVersion", &[&version], stage).await;
    };
    stand("STAGE_STAGING").await;
    let moves = json!([{"version": 1, "alias": "champion"}, {"version": 1, "stage": "STAGE_NONE"}]);
    let asked = json!({"moves": moves});
    let asked = caller.call_with(asker, "registry.PromotionService/CreatePromotion", &[&name], asked).await;
    let asked = asked["name"].as_str().unwrap();
    stand("STAGE_ARCHIVED").await;
    caller.call("registry.PromotionService/ApprovePromotion", &[asked], json!({})).await;
    stand("STAGE_STAGING").await;
    caller.call("registry.PromotionService/CompletePromotion", &[asked], json!({})).await;
}

pub async fn ledger(caller: &Caller<'_>) {
    let event = json!({"eventType": "COMPLETE", "eventTime": TIME, "producer": "https://example.org/p",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": "01900000-0000-7000-8000-000000000000"}, "job": {"namespace": "n", "name": "j"},
        "inputs": [], "outputs": []});
    caller.call("openlineage.OpenLineageService/ReceiveEvent", &[], event).await;
    caller.call("ledger.SigningService/RotateSigningKey", &[], json!({})).await;
    let signing = caller.suite.ask("GET", "/api/v1/audit/signing", None).await;
    let open = json!({"ended_origin": signing["origin"], "reason": "a trial"});
    caller.call("ledger.SigningService/OpenEpoch", &[], open).await;
}
