use cairn_contract::cairn::config::v1::secret_version::State;
use cairn_contract::cairn::config::v1::{Secret, SecretVersion};
use cairn_contract::google::api::HttpBody;
use cairn_kernel::{Position, Principal, Time};
use cairn_service::Ctx;
use prost_types::Timestamp;
use serde_json::{Map, Value, json};
use tonic::Response;

/// Where the engine is mounted.
const MOUNT: &str = "secret/";

/// An answer as the edge takes it.
pub struct Answer {
    status: u16,
    body: Vec<u8>,
    position: Option<Position>,
}

impl Answer {
    /// Data in the envelope that every answer of Vault has.
    pub fn data(ctx: &Ctx, data: &Value) -> Self {
        Self::body(json!({
            "request_id": ctx.request_id(),
            "lease_id": "",
            "renewable": false,
            "lease_duration": 0,
            "data": data,
            "wrap_info": null,
            "warnings": null,
            "auth": null,
            "mount_type": "kv",
        }))
    }

    pub fn body(body: Value) -> Self {
        Self { status: 200, body: body.to_string().into_bytes(), position: None }
    }

    pub fn empty() -> Self {
        Self { status: 204, body: vec![], position: None }
    }

    /// What is asked for is not there, and this is known of it.
    pub fn absent(self) -> Self {
        Self { status: 404, ..self }
    }

    /// There is nothing of what is asked for.
    pub fn nothing() -> Self {
        Self::body(json!({ "errors": [] })).absent()
    }

    pub fn stored(self, at: Position) -> Self {
        Self { position: Some(at), ..self }
    }

    pub fn reply(self, ctx: &Ctx) -> Response<HttpBody> {
        let body = HttpBody { content_type: "application/json".into(), data: self.body.into(), extensions: vec![] };
        let mut response = match self.position {
            Some(at) => ctx.reply(body, at),
            None => Response::new(body),
        };
        if let Ok(status) = self.status.to_string().parse() {
            response.metadata_mut().insert("cairn-http-status", status);
        }
        response
    }
}

fn moment(moment: Option<&Timestamp>) -> String {
    moment.map(|moment| Time::from_seconds_and_nanos(moment.seconds, moment.nanos).to_string()).unwrap_or_default()
}

/// The number that the name of a version ends with.
fn number(version: &SecretVersion) -> u32 {
    version.name.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Whether its value is not to be had.
pub fn is_deleted(version: &SecretVersion) -> bool {
    version.state() != State::Enabled
}

fn facts(version: &SecretVersion) -> Map<String, Value> {
    let deleted = (version.state() == State::Disabled).then_some(version.update_time.as_ref()).flatten();
    let facts = [
        ("created_time", json!(moment(version.create_time.as_ref()))),
        ("deletion_time", json!(moment(deleted))),
        ("destroyed", json!(version.state() == State::Destroyed)),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What is said of a version beside its value.
pub fn version(version: &SecretVersion) -> Value {
    let mut facts = facts(version);
    facts.insert("version".to_owned(), json!(number(version)));
    facts.insert("custom_metadata".to_owned(), Value::Null);
    Value::Object(facts)
}

/// The versions of a secret, by their numbers.
fn versions_of(versions: &[SecretVersion]) -> Value {
    Value::Object(versions.iter().map(|version| (number(version).to_string(), Value::Object(facts(version)))).collect())
}

/// What is said of a secret.
pub fn metadata(secret: &Secret, versions: &[SecretVersion]) -> Value {
    let custom = (!secret.description.is_empty()).then(|| json!({ "description": secret.description }));
    json!({
        "cas_required": false,
        "created_time": moment(secret.create_time.as_ref()),
        "current_version": secret.last_version,
        "custom_metadata": custom,
        "delete_version_after": "0s",
        "max_versions": 0,
        "oldest_version": versions.iter().map(number).min().unwrap_or_default(),
        "updated_time": moment(secret.update_time.as_ref()),
        "versions": versions_of(versions),
    })
}

/// The ids of secrets.
pub fn keys(ids: &[String]) -> Value {
    json!({ "keys": ids })
}

/// Who calls. The credential itself is not told: whoever asks has it.
pub fn lookup(principal: &Principal) -> Value {
    json!({
        "accessor": principal.credential,
        "creation_time": 0,
        "creation_ttl": 0,
        "display_name": principal.name,
        "entity_id": principal.name,
        "expire_time": null,
        "explicit_max_ttl": 0,
        "id": "",
        "meta": null,
        "num_uses": 0,
        "orphan": true,
        "path": "auth/token/lookup-self",
        "policies": principal.scopes,
        "renewable": false,
        "ttl": 0,
        "type": "service",
    })
}

/// Never sealed, always there.
pub fn health(now: Time) -> Value {
    json!({
        "initialized": true,
        "sealed": false,
        "standby": false,
        "performance_standby": false,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": now.seconds_and_nanos().0,
        "type": "cairn",
        "t": 0,
        "n": 0,
        "progress": 0,
        "nonce": "",
        "version": concat!(env!("CARGO_PKG_VERSION"), "+cairn"),
        "cluster_name": "cairn",
        "cluster_id": "",
    })
}

fn mount() -> Map<String, Value> {
    let facts = [
        ("type", json!("kv")),
        ("description", json!("secrets of one project")),
        ("options", json!({ "version": "2" })),
        ("config", json!({ "default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": false })),
        ("accessor", json!("kv_cairn")),
        ("local", json!(false)),
        ("seal_wrap", json!(false)),
        ("external_entropy_access", json!(false)),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What is mounted, or where a path is. Nothing: it lies in no mount.
pub fn mounts(path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(json!({ "auth": {}, "secret": { MOUNT: mount() } }));
    }
    if format!("{path}/").starts_with(MOUNT) {
        let mut mount = mount();
        mount.insert("path".to_owned(), json!(MOUNT));
        return Some(Value::Object(mount));
    }
    None
}
