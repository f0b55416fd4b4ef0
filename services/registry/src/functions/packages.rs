use std::sync::Arc;

use cairn_kernel::{Code, Expected};
use cairn_objects::{Body, Digest, Expect, Key, ObjectFault, Written, verified};
use cairn_service::Refusal;
use cairn_tlog::Note;

use super::{Functions, Page, VersionRecord, missing, query};
use crate::app::{Call, Made};
use crate::model::Function;
use crate::model::function::{Command, Document, FunctionName, FunctionVersionName, LATEST, Package};

/// A version about to be published.
pub struct NewVersion {
    pub name: FunctionVersionName,
    pub document: Document,
    pub sha256: Digest,
    pub signature: String,
}

impl Functions {
    /// Stores a package under its digest. Sent again it is stored again, which keeps it from being swept away.
    pub async fn upload(
        &self,
        call: &Call,
        name: &FunctionName,
        sha256: Digest,
        body: Body,
    ) -> Result<Written, Refusal> {
        self.check_exists(name).await?;
        let size_max = self.inner.config.package_bytes_max;
        let key = key(name, sha256)?;
        let left = self.left(call, name, &key).await?;
        let most = left.as_ref().map_or(size_max, |(limit, used)| size_max.min(limit.max.saturating_sub(*used)));
        let expect = Expect { sha256: Some(sha256), ..Expect::at_most(most) };
        self.inner.objects.put(&key, body, expect).await.map_err(|fault| match (&fault, left) {
            (ObjectFault::TooLarge { .. }, Some((limit, used))) if most < size_max => {
                limit.exceeded(used, most.saturating_add(1))
            }
            _ => Refusal::of(&fault),
        })
    }

    /// Publishes an uploaded package.
    pub async fn publish(&self, call: &Call, new: NewVersion) -> Result<Made<VersionRecord>, Refusal> {
        let NewVersion { name, document, sha256, signature } = new;
        let function = name.function.clone();
        self.check_exists(&function).await?;
        self.check_signature(&name, sha256, &signature)?;
        let key = key(&function, sha256)?;
        let stored = self.inner.objects.head(&key).await.map_err(|fault| match fault {
            ObjectFault::NotFound { .. } => Refusal::new(
                Code::FailedPrecondition,
                "FUNCTION_PACKAGE_MISSING",
                format!("no package {sha256} of {function} has been uploaded: PUT it to {function}/packages/{sha256}"),
            )
            .with("function", &function)
            .with("sha256", sha256),
            fault => Refusal::of(&fault),
        })?;
        let _room = self.room(call, &function, &key, stored.size).await?;
        let package =
            Package { document, sha256: sha256.to_string(), size: stored.size, signature, object_key: key.to_string() };
        let versions_max = self.inner.config.versions_per_function_max as usize;
        let version = name.version.clone();
        let command = Command::Publish { version, package: Arc::new(package), versions_max };
        let position = self.execute(call, &function, Expected::Any, command).await?;
        let found = query::version(&self.inner.model, &function, Some(&name.version)).await?;
        let value = found.ok_or_else(|| no_version(&name))?;
        Ok(Made { value, position })
    }

    /// A version, by its name or as the latest.
    pub async fn version(&self, call: &Call, name: &FunctionVersionName) -> Result<VersionRecord, Refusal> {
        self.settle(call, None).await?;
        let version = Some(&name.version).filter(|version| version.as_str() != LATEST);
        let found = query::version(&self.inner.model, &name.function, version).await?;
        found.ok_or_else(|| no_version(name))
    }

    /// A function's versions, newest first.
    pub async fn versions(
        &self,
        call: &Call,
        function: &FunctionName,
        limit: usize,
        page_token: &str,
    ) -> Result<Page<VersionRecord>, Refusal> {
        self.settle(call, None).await?;
        Ok(query::versions(&self.inner.model, function, limit, page_token).await?)
    }

    /// A version's bytes, which end well only when they are those that were published.
    pub async fn package(&self, record: &VersionRecord) -> Result<Body, Refusal> {
        let key: Key = record.package.object_key.parse().map_err(Refusal::internal)?;
        let sha256: Digest = record.package.sha256.parse().map_err(Refusal::internal)?;
        let object = self.inner.objects.get(&key, None).await.map_err(|fault| Refusal::of(&fault))?;
        Ok(verified(object.body, record.package.size, sha256))
    }

    async fn check_exists(&self, name: &FunctionName) -> Result<(), Refusal> {
        let loaded = self.inner.commands.load::<Function>(&name.stream()).await?;
        if loaded.state.exists() { Ok(()) } else { Err(missing(name)) }
    }

    /// A signature must be over this very version and package; and where only some may publish, one of theirs.
    fn check_signature(&self, name: &FunctionVersionName, sha256: Digest, signature: &str) -> Result<(), Refusal> {
        let invalid = |problem: String| {
            let message = format!("the signature of {name} cannot be accepted: {problem}");
            Refusal::new(Code::FailedPrecondition, "FUNCTION_SIGNATURE_INVALID", message).with("version", name)
        };
        let trusted = &self.inner.trusted_keys;
        if signature.is_empty() {
            return match trusted.is_empty() {
                true => Ok(()),
                false => Err(invalid("there is none, and packages here must be signed".to_owned())),
            };
        }
        let note: Note = signature.parse().map_err(|fault: cairn_tlog::NoteFault| invalid(fault.to_string()))?;
        if note.text != name.statement(&sha256.to_string()) {
            return Err(invalid("it is over another function, version or package".to_owned()));
        }
        if !trusted.is_empty() {
            note.verify(trusted).map_err(|fault| invalid(fault.to_string()))?;
        }
        Ok(())
    }
}

/// Where a package lies.
fn key(function: &FunctionName, sha256: Digest) -> Result<Key, Refusal> {
    let text = format!("{}/functions/{}/{sha256}", function.project(), function.function());
    text.parse().map_err(Refusal::internal)
}

fn no_version(name: &FunctionVersionName) -> Refusal {
    let message = format!("{} has no version {}", name.function, name.version);
    Refusal::new(Code::NotFound, "FUNCTION_VERSION_NOT_FOUND", message)
        .with("function", &name.function)
        .with("version", &name.version)
}
