use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_kernel::{Clock, SystemClock};
use cairn_registry::model::function::{FunctionId, VersionId};
use cairn_tlog::VerifyingKey;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::HubFault;
use super::address::Wanted;
use super::package::{Found, Sealed};

/// Where the versions of a function lie in a repository: `functions/{function}/{version}.json`, and the package beside.
const FOLDER: &str = "functions";
/// Longest that git may take for one step.
const STEP_MAX: Duration = Duration::from_secs(600);
/// Largest description of a version, in bytes.
const FACTS_BYTES_MAX: u64 = 1 << 20;

/// A git repository as a hub, by way of the git program.
pub struct GitHub {
    name: String,
    url: String,
    token: Option<String>,
    pub keys: Vec<VerifyingKey>,
}

impl GitHub {
    pub fn new(name: &str, url: String, token: Option<String>, keys: Vec<VerifyingKey>) -> Self {
        Self { name: name.to_owned(), url, token, keys }
    }

    pub fn address(&self) -> String {
        format!("git+{}", self.url)
    }

    pub async fn functions(&self) -> anyhow::Result<Vec<Value>> {
        let copy = self.copy().await?;
        let mut functions = vec![];
        for name in names(&copy.path().join(FOLDER), None) {
            let versions = versions(copy.path(), &name);
            let Some(latest) = versions.first() else { continue };
            functions.push(json!({
                "function": name, "latest_version": latest.version, "version_count": versions.len(),
                "labels": latest.labels, "description": latest.description,
            }));
        }
        Ok(functions)
    }

    pub async fn versions(&self, function: &str) -> anyhow::Result<Vec<Value>> {
        let copy = self.copy().await?;
        Ok(versions(copy.path(), function).into_iter().map(|version| json!(version)).collect())
    }

    pub async fn find(&self, wanted: &Wanted) -> anyhow::Result<Found> {
        let copy = self.copy().await?;
        let found = match &wanted.version {
            Some(version) => facts(copy.path(), &wanted.function, version),
            None => versions(copy.path(), &wanted.function).into_iter().next(),
        };
        let (hub, what) = (self.name.clone(), wanted.shown());
        Ok(found.ok_or(HubFault::NotFound { hub, what })?)
    }

    pub async fn fetch(&self, found: &Found, to: &Path) -> anyhow::Result<()> {
        let copy = self.copy().await?;
        let package = place(copy.path(), &found.function, &found.version, "tar.gz");
        let size = fs::symlink_metadata(&package).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
        if size != Some(found.size_bytes) {
            let problem = format!("the repository does not hold its {} bytes", found.size_bytes);
            return Err(HubFault::Refused(problem).into());
        }
        fs::copy(&package, to).with_context(|| format!("cannot write {}", to.display()))?;
        Ok(())
    }

    /// Commits a version and pushes it. Two who publish at once do not overwrite each other: a push is refused when the
    /// repository has moved on.
    pub async fn publish(&self, sealed: &Sealed) -> anyhow::Result<Value> {
        let copy = self.copy().await?;
        let (function, version) = (&sealed.manifest.name, &sealed.version);
        let found = Found {
            function: function.clone(),
            version: version.clone(),
            description: sealed.manifest.description.clone(),
            labels: json!(sealed.manifest.labels),
            spec: sealed.manifest.spec(),
            sha256: sealed.sha256.clone(),
            size_bytes: sealed.archive.len() as u64,
            signature: sealed.signature.clone(),
            create_time: SystemClock.now().to_string(),
            creator: String::new(),
        };
        let mut shown = found.shown(&self.address());
        if let Some(known) = facts(copy.path(), function, version) {
            let is_same = known.sha256 == found.sha256 && known.signature == found.signature;
            if is_same {
                return Ok(known.shown(&self.address()));
            }
            return Err(HubFault::VersionExists { function: function.clone(), version: version.clone() }.into());
        }
        let package = place(copy.path(), function, version, "tar.gz");
        if let Some(folder) = package.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&package, &sealed.archive)?;
        fs::write(place(copy.path(), function, version, "json"), serde_json::to_vec_pretty(&found)?)?;
        let git = async |arguments: &[&str]| self.git(copy.path(), arguments.iter().map(AsRef::as_ref).collect()).await;
        git(&["add", "--", FOLDER]).await?;
        let message = format!("Publish {function} {version}");
        git(&["commit", "--quiet", "--message", &message]).await?;
        git(&["push", "--quiet", "origin", "HEAD"]).await?;
        shown["creator"] = Value::Null;
        Ok(shown)
    }

    /// A fresh copy of the repository as it is now.
    async fn copy(&self) -> anyhow::Result<TempDir> {
        let folder = tempfile::tempdir().context("cannot make a folder for a copy of the repository")?;
        let target = folder.path().as_os_str();
        let arguments: Vec<&OsStr> =
            ["clone", "--quiet", "--depth", "1", "--no-tags", "--"].iter().map(AsRef::as_ref).collect();
        let arguments = [arguments, vec![self.url.as_ref(), target]].concat();
        self.git(folder.path(), arguments).await?;
        Ok(folder)
    }

    async fn git(&self, folder: &Path, arguments: Vec<&OsStr>) -> anyhow::Result<()> {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(folder).envs(self.environment()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let unavailable = |problem: String| HubFault::Unavailable { hub: self.name.clone(), problem };
        let done = tokio::time::timeout(STEP_MAX, command.output()).await;
        let done = done.map_err(|_| unavailable(format!("git took longer than {} s", STEP_MAX.as_secs())))?;
        let done = done.map_err(|fault| unavailable(format!("the git program cannot be run: {fault}")))?;
        if done.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        match is_unauthorized(&said) {
            true => Err(HubFault::Unauthorized { hub: self.name.clone(), problem: said }.into()),
            false => Err(unavailable(said).into()),
        }
    }

    /// What git is told beside its arguments. The token goes this way: arguments can be read by others. What a repository
    /// holds runs nothing here: no hooks, no links, no transports that are commands, no questions.
    fn environment(&self) -> Vec<(String, String)> {
        let mut settings = vec![
            ("core.hooksPath", "/dev/null".to_owned()),
            ("core.symlinks", "false".to_owned()),
            ("core.autocrlf", "false".to_owned()),
            ("transfer.fsckObjects", "true".to_owned()),
            ("credential.helper", String::new()),
            ("http.followRedirects", "false".to_owned()),
        ];
        let header = self.token.as_ref().map(|token| {
            // As git servers have it: the token is the password of whatever user.
            let credentials = STANDARD.encode(format!("x-access-token:{token}"));
            format!("Authorization: Basic {credentials}")
        });
        settings.extend(header.map(|header| ("http.extraHeader", header)));
        let mut environment = vec![
            ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
            ("GIT_ASKPASS".to_owned(), "true".to_owned()),
            ("GIT_ALLOW_PROTOCOL".to_owned(), "https:http:ssh:file".to_owned()),
            ("LC_ALL".to_owned(), "C".to_owned()),
            ("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string()),
        ];
        for (at, (key, value)) in settings.into_iter().enumerate() {
            environment.push((format!("GIT_CONFIG_KEY_{at}"), key.to_owned()));
            environment.push((format!("GIT_CONFIG_VALUE_{at}"), value));
        }
        for variable in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            let value = if variable.ends_with("EMAIL") { "hub@cairn.invalid" } else { "cairn hub" };
            let given = std::env::var(variable).ok().filter(|given| !given.is_empty());
            environment.push((variable.to_owned(), given.unwrap_or_else(|| value.to_owned())));
        }
        environment
    }
}

/// Whether git's complaint is that the server does not let it in.
fn is_unauthorized(said: &str) -> bool {
    let signs =
        ["Authentication failed", "could not read Username", "could not read Password", "error: 401", "error: 403"];
    signs.iter().any(|sign| said.contains(sign))
}

fn place(copy: &Path, function: &str, version: &str, ending: &str) -> PathBuf {
    copy.join(FOLDER).join(function).join(format!("{version}.{ending}"))
}

/// What a repository says of a version. What is malformed, or lies under another name than it says, is not there.
fn facts(copy: &Path, function: &str, version: &str) -> Option<Found> {
    let file = place(copy, function, version, "json");
    let metadata = fs::symlink_metadata(&file).ok()?;
    if !metadata.is_file() || metadata.len() > FACTS_BYTES_MAX {
        return None;
    }
    let found: Found = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
    (found.function == function && found.version == version).then_some(found)
}

/// The versions of a function, the one published last first.
fn versions(copy: &Path, function: &str) -> Vec<Found> {
    let names = names(&copy.join(FOLDER).join(function), Some(".json"));
    let mut found: Vec<Found> = names.iter().filter_map(|version| facts(copy, function, version)).collect();
    found.sort_by(|one, other| (&other.create_time, &other.version).cmp(&(&one.create_time, &one.version)));
    found
}

/// Names of functions (folders) or versions (files with an ending) in a folder, in order. Others are passed over.
fn names(folder: &Path, ending: Option<&str>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name = match ending {
                Some(ending) => name.strip_suffix(ending)?.to_owned(),
                None => name,
            };
            let is_name = match ending {
                Some(_) => name.parse::<VersionId>().is_ok(),
                None => name.parse::<FunctionId>().is_ok(),
            };
            is_name.then_some(name)
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_the_environment_and_in_no_argument() {
        let hub = GitHub::new("private", "https://example.com/r.git".into(), Some("s3cret".into()), vec![]);
        let environment = hub.environment();
        let encoded = STANDARD.encode("x-access-token:s3cret");
        assert!(environment.iter().any(|(_, value)| value.contains(&encoded)));
        assert!(!hub.address().contains("s3cret"));
    }

    #[test]
    fn a_server_that_does_not_let_in_is_told_from_one_that_is_not_there() {
        assert!(is_unauthorized("fatal: Authentication failed for 'https://example.com/r.git/'"));
        assert!(is_unauthorized("fatal: unable to access 'x': The requested URL returned error: 403"));
        assert!(!is_unauthorized("fatal: unable to access 'x': Could not resolve host: example.com"));
    }
}
