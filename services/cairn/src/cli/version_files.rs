//! Files of a version that are here: found, and kept by the server as a logged model's, as those of unmodified MLflow
//! clients are. So what the command line registered loads with `models:/name/1`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::FileType;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::exit::Unusable;
use super::session::Session;
use super::{artifact_parts, artifacts};

const LOGGED: &str = "experiments.v1.LoggedModelService";
const ARTIFACTS: &str = "experiments.v1.ArtifactService";

/// The experiment that every project has.
const EXPERIMENT: &str = "experiments/0";

/// Files by where they go.
pub type Files = BTreeMap<String, PathBuf>;

/// Finds what was named: a file goes under its own name, and of a folder everything goes by its path below it.
///
/// Links in a folder are refused: they could lead anywhere, and a version would hold what nobody meant to give.
pub fn find(named: &[PathBuf]) -> anyhow::Result<Files> {
    let mut found = Files::new();
    for top in named {
        let about = top.metadata().with_context(|| format!("cannot read {}", top.display()))?;
        if about.is_dir() {
            let before = found.len();
            find_below(top, "", &mut found)?;
            if found.len() == before {
                return Err(unusable(top, "is an empty folder"));
            }
        } else {
            add(&mut found, top, "", about.file_type())?;
        }
    }
    Ok(found)
}

fn find_below(folder: &Path, prefix: &str, found: &mut Files) -> anyhow::Result<()> {
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        match kind.is_dir() {
            true => find_below(&path, &format!("{prefix}{}/", name_of(&path)?), found)?,
            false => add(found, &path, prefix, kind)?,
        }
    }
    Ok(())
}

fn add(found: &mut Files, file: &Path, prefix: &str, kind: FileType) -> anyhow::Result<()> {
    if kind.is_symlink() {
        return Err(unusable(file, "is a link: give the file itself"));
    }
    if !kind.is_file() {
        return Err(unusable(file, "is neither a file nor a folder"));
    }
    let path = format!("{prefix}{}", name_of(file)?);
    match found.insert(path.clone(), file.to_owned()) {
        Some(other) => Err(unusable(file, &format!("and {} would both be {path}", other.display()))),
        None => Ok(()),
    }
}

fn name_of(file: &Path) -> anyhow::Result<&str> {
    let name = file.file_name().and_then(OsStr::to_str);
    name.ok_or_else(|| unusable(file, "is not named in UTF-8"))
}

fn unusable(file: &Path, problem: &str) -> anyhow::Error {
    Unusable(format!("{} {problem}", file.display())).into()
}

/// What was uploaded, before a version is made of it.
pub struct Kept {
    /// `projects/{project}/experiments/{experiment}/loggedModels/{model}`
    name: String,
    files: Files,
}

impl Kept {
    /// Uploads files. If that does not succeed, or is interrupted, nothing of them stays.
    pub async fn upload(session: &Session, project: &str, title: &str, files: Files) -> anyhow::Result<Self> {
        let title = title.rsplit('/').next().unwrap_or(title);
        let request = json!({"parent": format!("{project}/{EXPERIMENT}"), "display_name": title});
        let begun = session.call(&format!("{LOGGED}/CreateLoggedModel"), request).await?;
        let name = begun["name"].as_str().context("the server began a model without naming it")?.to_owned();
        let kept = Self { name, files };
        match unless_interrupted(kept.send(session)).await {
            Ok(()) => Ok(kept),
            Err(fault) => {
                kept.discard(session).await;
                Err(fault)
            }
        }
    }

    async fn send(&self, session: &Session) -> anyhow::Result<()> {
        for (path, file) in &self.files {
            artifacts::upload_exactly(session, &self.name, file, path).await?;
        }
        let request = json!({"name": self.name, "state": "LOGGED_MODEL_STATE_READY"});
        session.call(&format!("{LOGGED}/FinalizeLoggedModel"), request).await?;
        Ok(())
    }

    pub fn id(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    pub fn uri(&self) -> String {
        format!("models:/{}", self.id())
    }

    /// Deletes what was uploaded. What stands in the way of that matters less than what led here, and is a warning.
    pub async fn discard(&self, session: &Session) {
        if let Err(fault) = unless_interrupted(self.delete(session)).await {
            session.output.warn(&format!("what was uploaded stays as {}: {fault:#}", self.name));
        }
    }

    async fn delete(&self, session: &Session) -> anyhow::Result<()> {
        for (path, file) in &self.files {
            artifact_parts::give_up(session, &self.name, file, path).await?;
        }
        let request = json!({"parent": self.name});
        for artifact in session.list(&format!("{ARTIFACTS}/ListArtifacts"), request, usize::MAX).await? {
            session.call(&format!("{ARTIFACTS}/DeleteArtifact"), json!({"name": artifact["name"]})).await?;
        }
        session.call(&format!("{LOGGED}/DeleteLoggedModel"), json!({"name": self.name})).await?;
        Ok(())
    }
}

/// Does something until it is done or the user has had enough. Whoever uses this has to use it from then on: the
/// interrupt no longer ends the process by itself.
pub async fn unless_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot listen for an interrupt")?;
            Err(anyhow::anyhow!("interrupted"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_goes_under_its_name_and_a_folder_as_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("model/deep")).unwrap();
        for path in ["notes.md", "model/MLmodel", "model/deep/a b.bin"] {
            fs::write(at(path), path).unwrap();
        }
        let found = find(&[at("model"), at("notes.md")]).unwrap();
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["MLmodel", "deep/a b.bin", "notes.md"]);
        assert_eq!(found["deep/a b.bin"], at("model/deep/a b.bin"));
    }

    #[test]
    fn what_cannot_be_a_versions_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["one", "two", "empty", "linked"] {
            fs::create_dir(at(path)).unwrap();
        }
        fs::write(at("one/a"), "1").unwrap();
        fs::write(at("two/a"), "2").unwrap();
        std::os::unix::fs::symlink(at("one/a"), at("linked/a")).unwrap();
        let problem =
            |named: &[&str]| find(&named.iter().map(|path| at(path)).collect::<Vec<_>>()).unwrap_err().to_string();
        assert!(problem(&["one", "two"]).contains("would both be a"));
        assert!(problem(&["empty"]).ends_with("is an empty folder"));
        assert!(problem(&["linked"]).ends_with("is a link: give the file itself"));
        assert!(problem(&["nothing"]).starts_with("cannot read"));
    }
}
