//! Artifacts in folders of this machine.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// Where the artifacts of a run or logged model are.
#[derive(Debug, PartialEq, Eq)]
pub enum Root {
    Folder(PathBuf),
    /// Below the folder that a server hands out, which only its operator knows.
    Served(PathBuf),
    /// In a store, of which this is the kind.
    Store(String),
}

impl Root {
    /// As MLflow reads the address of artifacts.
    pub fn parse(uri: &str) -> Self {
        // A path may hold a colon of its own.
        let scheme = uri.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains('/'));
        match scheme {
            None => Self::Folder(PathBuf::from(uri)),
            Some("file") => {
                let path = without_host(&uri["file:".len()..]);
                let path = path.split(['?', '#']).next().unwrap_or_default();
                Self::Folder(PathBuf::from(percent_decode_str(path).decode_utf8_lossy().into_owned()))
            }
            Some("mlflow-artifacts") => {
                let path = without_host(&uri["mlflow-artifacts:".len()..]);
                Self::Served(PathBuf::from(path.trim_start_matches('/')))
            }
            Some(scheme) => Self::Store(scheme.to_owned()),
        }
    }

    /// The folder, if it is one of this machine; `served` is the one that a server handed out.
    pub fn folder(self, served: Option<&Path>) -> anyhow::Result<PathBuf> {
        match (self, served) {
            (Self::Folder(folder), _) => Ok(folder),
            (Self::Served(path), Some(served)) => Ok(served.join(inner(&path)?)),
            (Self::Served(_), None) => bail!("a server handed its artifacts out: --artifacts says from which folder"),
            (Self::Store(scheme), _) => bail!("its artifacts are in a store ({scheme}://)"),
        }
    }
}

/// The path of an address that may name a host.
fn without_host(rest: &str) -> &str {
    match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
        None => rest,
    }
}

/// A path that stays within what it is joined to.
fn inner(path: &Path) -> anyhow::Result<&Path> {
    match path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        true => Ok(path),
        false => bail!("{} leads out of the folder of artifacts", path.display()),
    }
}

/// What lies in a folder, as MLflow's server lists it. Where nothing was ever kept there is no folder.
pub fn list(root: &Path, folder: &str) -> anyhow::Result<Vec<Value>> {
    let place = root.join(inner(Path::new(folder))?);
    let cannot = || format!("cannot read the folder {}", place.display());
    let entries = match fs::read_dir(&place) {
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.with_context(cannot)?,
    };
    let mut listed = vec![];
    for entry in entries {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        // Links are not followed: one of them may lead to what is nobody's artifact.
        let about = entry.metadata().with_context(cannot)?;
        listed.push(match about.is_dir() {
            true => json!({"path": path, "is_dir": true}),
            false if about.is_file() => json!({"path": path, "is_dir": false, "file_size": about.len()}),
            false => json!({"path": path, "is_dir": false}),
        });
    }
    listed.sort_by(|one, other| one["path"].as_str().cmp(&other["path"].as_str()));
    Ok(listed)
}

/// Opens a file.
pub fn open(root: &Path, path: &str) -> anyhow::Result<fs::File> {
    let place = root.join(inner(Path::new(path))?);
    let cannot = || format!("cannot read {}", place.display());
    let about = fs::symlink_metadata(&place).with_context(cannot)?;
    if about.is_symlink() {
        bail!("{} is a link, and links are not followed", place.display());
    }
    if !about.is_file() {
        bail!("{} is no file", place.display());
    }
    fs::File::open(&place).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_artifacts_are_read_as_mlflow_reads_them() {
        let folder = |path: &str| Root::Folder(PathBuf::from(path));
        assert_eq!(Root::parse("/srv/mlruns/1/r/artifacts"), folder("/srv/mlruns/1/r/artifacts"));
        assert_eq!(Root::parse("./mlruns/1:2/r"), folder("./mlruns/1:2/r"));
        assert_eq!(Root::parse("/srv/100%25/r"), folder("/srv/100%25/r"));
        assert_eq!(Root::parse("file:///srv/my%20runs/r"), folder("/srv/my runs/r"));
        assert_eq!(Root::parse("file:/srv/r"), folder("/srv/r"));
        assert_eq!(Root::parse("mlflow-artifacts:/1/r/artifacts"), Root::Served(PathBuf::from("1/r/artifacts")));
        assert_eq!(Root::parse("mlflow-artifacts://host:5000/1/r"), Root::Served(PathBuf::from("1/r")));
        assert_eq!(Root::parse("s3://bucket/1/r"), Root::Store("s3".to_owned()));
        assert_eq!(Root::parse("dbfs:/1/r"), Root::Store("dbfs".to_owned()));
    }

    #[test]
    fn what_a_server_handed_out_is_in_the_folder_that_is_named_and_nowhere_else() -> anyhow::Result<()> {
        let served = Some(Path::new("/srv/artifacts"));
        assert_eq!(Root::parse("mlflow-artifacts:/1/r").folder(served)?, Path::new("/srv/artifacts/1/r"));
        assert!(Root::parse("mlflow-artifacts:/1/r").folder(None).is_err());
        assert!(Root::parse("mlflow-artifacts:/../../etc").folder(served).is_err());
        assert!(Root::parse("s3://bucket/1/r").folder(served).is_err());
        Ok(())
    }

    #[test]
    fn files_are_listed_and_links_are_not_followed() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("artifacts");
        fs::create_dir_all(root.join("model"))?;
        fs::write(folder.path().join("secret"), "s")?;
        fs::write(root.join("model/weights"), "12345")?;
        std::os::unix::fs::symlink(folder.path(), root.join("out"))?;
        assert_eq!(
            list(&root, "")?,
            [json!({"path": "model", "is_dir": true}), json!({"path": "out", "is_dir": false})]
        );
        assert_eq!(list(&root, "model")?, [json!({"path": "model/weights", "is_dir": false, "file_size": 5})]);
        assert_eq!(list(&root, "nowhere")?, [] as [Value; 0]);
        assert!(open(&root, "model/weights").is_ok());
        for path in ["out", "model", "nowhere", "../secret"] {
            assert!(open(&root, path).is_err(), "{path}");
        }
        assert!(list(&root, "..").is_err());
        Ok(())
    }
}
