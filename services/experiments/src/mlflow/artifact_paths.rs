use tonic::Status;

use super::caller::Caller;
use super::fault::{ErrorCode, invalid};
use crate::app::{App, Call};
use crate::model::artifact::{ArtifactPath, Owner};

/// A path of the artifact proxy: `<experiment>/<run>/artifacts/<path>` or
/// `<experiment>/models/<model>/artifacts/<path>`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProxyPath<'a> {
    Run { experiment: &'a str, run: &'a str, path: &'a str },
    LoggedModel { experiment: &'a str, model: &'a str, path: &'a str },
}

impl<'a> ProxyPath<'a> {
    /// Reads a path; nothing when it lies outside of all runs and logged models.
    pub fn read(text: &'a str) -> Option<Self> {
        let text = text.trim_matches('/');
        let (experiment, rest) = text.split_once('/')?;
        let (second, rest) = rest.split_once('/')?;
        if second == "models" {
            let (model, rest) = rest.split_once('/')?;
            return Some(Self::LoggedModel { experiment, model, path: below(rest)? });
        }
        Some(Self::Run { experiment, run: second, path: below(rest)? })
    }

    /// The run or logged model it lies in, the call on it, and the path below it.
    pub async fn owner(self, caller: &Caller, app: &App) -> Result<(Owner, Call, &'a str), Status> {
        let (experiment, found, path) = match self {
            Self::Run { experiment, run, path } => {
                let (name, call) = caller.run(app, run).await?;
                (experiment, (Owner::Run(name), call), path)
            }
            Self::LoggedModel { experiment, model, path } => {
                let (name, call) = caller.logged_model(app, model).await?;
                (experiment, (Owner::LoggedModel(name), call), path)
            }
        };
        let (owner, call) = found;
        let is_its_own = match &owner {
            Owner::Run(run) => run.experiment() == experiment,
            Owner::LoggedModel(model) => model.experiment() == experiment,
        };
        if is_its_own { Ok((owner, call, path)) } else { Err(outside()) }
    }
}

/// What follows the folder that holds a run's or model's artifacts.
fn below(rest: &str) -> Option<&str> {
    match rest.split_once('/') {
        Some(("artifacts", path)) => Some(path),
        None if rest == "artifacts" => Some(""),
        _ => None,
    }
}

/// The path of one artifact.
pub(super) fn artifact_path(path: &str) -> Result<ArtifactPath, Status> {
    path.parse().map_err(|_| invalid("Invalid path"))
}

/// The path of a folder; empty: the root.
pub(super) fn folder(path: &str) -> Result<String, Status> {
    match path.strip_suffix('/').unwrap_or(path) {
        "" | "." => Ok(String::new()),
        path => artifact_path(path).map(|path| path.to_string()),
    }
}

/// There are no artifacts outside of runs and logged models.
pub(super) fn outside() -> Status {
    ErrorCode::ResourceDoesNotExist.says("artifacts belong to a run or a logged model: no such path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_path_leads_to_a_run_or_a_model() {
        assert_eq!(
            ProxyPath::read("7/abc/artifacts/model/MLmodel"),
            Some(ProxyPath::Run { experiment: "7", run: "abc", path: "model/MLmodel" })
        );
        assert_eq!(
            ProxyPath::read("7/models/m-1/artifacts"),
            Some(ProxyPath::LoggedModel { experiment: "7", model: "m-1", path: "" })
        );
        for outside in ["", "7", "7/abc", "7/abc/other/a", "7/models/m-1", "7/abc/artifactsX/a"] {
            assert_eq!(ProxyPath::read(outside), None, "{outside}");
        }
    }

    #[test]
    fn a_path_cannot_climb() {
        for path in ["..", "a/../b", "/etc", "a\\b", "a\0b"] {
            assert!(artifact_path(path).is_err(), "{path}");
        }
        assert_eq!(folder("a/b/").unwrap(), "a/b");
        assert_eq!(folder("").unwrap(), "");
    }
}
