use std::path::Path;

use cairn_client::{Client, Fault, Query};
use cairn_tlog::VerifyingKey;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::HubFault;
use super::address::Wanted;
use super::package::{Found, Sealed};
use crate::cli::session::Session;

const FUNCTIONS: &str = "/cairn.registry.v1.FunctionService";
const VERSIONS: &str = "/cairn.registry.v1.FunctionVersionService";

/// A project of a Cairn as a hub.
pub struct CairnHub {
    client: Client,
    base: String,
    project: String,
    /// What it is called here; absent for the project that the connection works in.
    name: Option<String>,
    pub keys: Vec<VerifyingKey>,
}

impl CairnHub {
    /// The project that a session works in.
    pub fn of_project(session: &Session) -> Self {
        let (client, base) = (session.client().clone(), session.url().to_owned());
        Self { client, base, project: session.project(), name: None, keys: vec![] }
    }

    /// A project elsewhere.
    pub fn of_remote(
        name: &str,
        base: &str,
        project: &str,
        token: Option<String>,
        keys: Vec<VerifyingKey>,
    ) -> anyhow::Result<Self> {
        let client = Client::new(base, token)?;
        Ok(Self { client, base: base.to_owned(), project: project.to_owned(), name: Some(name.to_owned()), keys })
    }

    pub fn address(&self) -> String {
        format!("{}/{}", self.base.trim_end_matches('/'), self.project)
    }

    pub async fn functions(&self) -> anyhow::Result<Vec<Value>> {
        let listed = self.list(&format!("{FUNCTIONS}/ListFunctions"), &self.project).await?;
        let row = |function: Value| {
            json!({
                "function": last(&function["name"]), "latest_version": function["status"]["latest_version"],
                "version_count": function["status"]["version_count"].as_u64().unwrap_or_default(),
                "labels": function["labels"], "description": function["description"],
            })
        };
        Ok(listed.into_iter().map(row).collect())
    }

    pub async fn versions(&self, function: &str) -> anyhow::Result<Vec<Value>> {
        let listed = self.list(&format!("{VERSIONS}/ListFunctionVersions"), &self.function(function)).await?;
        listed.into_iter().map(|version| Ok(json!(self.found(function, version)?))).collect()
    }

    pub async fn find(&self, wanted: &Wanted) -> anyhow::Result<Found> {
        let version = wanted.version.as_deref().unwrap_or("latest");
        let name = format!("{}/versions/{version}", self.function(&wanted.function));
        let found = self.call(&format!("{VERSIONS}/GetFunctionVersion"), json!({"name": name})).await?;
        self.found(&wanted.function, found)
    }

    pub async fn fetch(&self, found: &Found, to: &Path) -> anyhow::Result<()> {
        let path = format!("/api/v1/{}/versions/{}:download", self.function(&found.function), found.version);
        let (_, pieces) = self.client.get(&path).await.map_err(|fault| self.told(fault))?;
        let mut pieces = std::pin::pin!(pieces);
        let (mut file, mut size) = (File::create(to).await?, 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|fault| self.told(fault))?;
            size += piece.len() as u64;
            if size > found.size_bytes {
                let problem = format!("more than the {} bytes that were published are sent", found.size_bytes);
                return Err(HubFault::Refused(problem).into());
            }
            file.write_all(&piece).await?;
        }
        Ok(file.sync_all().await?)
    }

    /// Uploads, publishes, and describes the function as the package does.
    pub async fn publish(&self, sealed: &Sealed) -> anyhow::Result<Value> {
        let function = self.function(&sealed.manifest.name);
        let is_new = self.create(sealed).await?;
        let path = format!("/api/v1/{function}/packages/{}", sealed.sha256);
        let body = reqwest::Body::from(sealed.archive.clone());
        self.client.put(&path, "application/gzip", body).await.map_err(|fault| self.told(fault))?;
        let mut version = sealed.manifest.document();
        version["sha256"] = json!(sealed.sha256);
        version["signature"] = json!(sealed.signature);
        let request = json!({"parent": function, "function_version_id": sealed.version, "function_version": version});
        let made = self.call(&format!("{VERSIONS}/CreateFunctionVersion"), request).await?;
        if !is_new {
            // Only now: a version that is refused describes nothing.
            self.describe(&function, sealed).await?;
        }
        let mut shown = json!(self.found(&sealed.manifest.name, made)?);
        shown["hub"] = json!(self.address());
        Ok(shown)
    }

    /// Whether there was no function of this name, and now is.
    async fn create(&self, sealed: &Sealed) -> anyhow::Result<bool> {
        let (name, document) = (&sealed.manifest.name, sealed.manifest.document());
        let request = json!({"parent": self.project, "function_id": name, "function": document});
        match self.client.call_json(&format!("{FUNCTIONS}/CreateFunction"), request).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.reason() == Some("FUNCTION_EXISTS") => Ok(false),
            Err(fault) => Err(self.told(fault)),
        }
    }

    /// Makes the function what the package says. A merge patch leaves what it does not name, so what is there and not in
    /// the package is named as null.
    async fn describe(&self, function: &str, sealed: &Sealed) -> anyhow::Result<()> {
        let current = self.call(&format!("{FUNCTIONS}/GetFunction"), json!({"name": function})).await?;
        let mut patch = sealed.manifest.document();
        for part in ["labels", "spec"] {
            replace(&current[part], &mut patch[part]);
        }
        let request = json!({"name": function, "patch": patch});
        self.call(&format!("{FUNCTIONS}/PatchFunction"), request).await.map(drop)
    }

    fn function(&self, function: &str) -> String {
        format!("{}/functions/{function}", self.project)
    }

    fn found(&self, function: &str, version: Value) -> anyhow::Result<Found> {
        let unavailable = |problem: String| HubFault::Unavailable { hub: self.address(), problem };
        let mut fields = version;
        // 64 bits come as text.
        let size = fields["size_bytes"].as_str().and_then(|size| size.parse::<u64>().ok()).unwrap_or_default();
        fields["size_bytes"] = json!(size);
        fields["function"] = json!(function);
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|key, _| !matches!(key.as_str(), "name" | "etag"));
        }
        Ok(serde_json::from_value(fields).map_err(|fault| unavailable(fault.to_string()))?)
    }

    async fn call(&self, rpc: &str, request: Value) -> anyhow::Result<Value> {
        self.client.call_json(rpc, request).await.map_err(|fault| self.told(fault))
    }

    async fn list(&self, rpc: &str, parent: &str) -> anyhow::Result<Vec<Value>> {
        let selection = Query::new().build()?;
        let mut pages = self.client.list_json(rpc, json!({"parent": parent}), &selection)?;
        let mut found = vec![];
        while let Some(page) = pages.next().await.map_err(|fault| self.told(fault))? {
            found.extend(page);
        }
        Ok(found)
    }

    /// What a hub says, as a hub's word. What our own project says is told as it is.
    fn told(&self, fault: Fault) -> anyhow::Error {
        let Some(hub) = self.name.clone() else { return fault.into() };
        match &fault {
            Fault::Refused { status: 401 | 403, message, .. } => {
                HubFault::Unauthorized { hub, problem: message.clone() }.into()
            }
            Fault::Unreachable { .. } | Fault::Unexpected { .. } => {
                let problem = format!("{:#}", anyhow::Error::new(fault));
                HubFault::Unavailable { hub, problem }.into()
            }
            _ => fault.into(),
        }
    }
}

/// Names as null in a patch what is in the current object and not in the new one, so that merging replaces it.
fn replace(current: &Value, patch: &mut Value) {
    let (Some(current), Some(patch)) = (current.as_object(), patch.as_object_mut()) else { return };
    for (key, value) in current {
        match patch.get_mut(key) {
            Some(new) => replace(value, new),
            None => {
                patch.insert(key.clone(), Value::Null);
            }
        }
    }
}

fn last(name: &Value) -> &str {
    name.as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_that_replaces_names_what_goes() {
        let current = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": []});
        let mut patch = json!({"b": {"c": 3}, "f": 4});
        replace(&current, &mut patch);
        assert_eq!(patch, json!({"a": null, "b": {"c": 3, "d": null}, "e": null, "f": 4}));
    }
}
