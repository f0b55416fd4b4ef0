use cairn_kernel::Name;

use crate::model::ProjectName;
use crate::model::version::Facts;

/// A folder of what a run or logged model has stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `projects/*/experiments/*/runs/*` or `…/loggedModels/*`.
    pub owner: Name,
    /// Empty: all of it.
    pub folder: String,
}

/// Where the files of a version are recorded. `None`: nowhere here.
///
/// An address in the artifact store was held against what the named run or model keeps before it became a fact.
pub fn place(project: &ProjectName, facts: &Facts) -> Option<Place> {
    let parts =
        |path: &str| -> Vec<String> { path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect() };
    let owner = |experiment: &str, rest: &str| format!("{project}/experiments/{experiment}/{rest}").parse().ok();
    if let Some(path) = facts.artifact_uri.strip_prefix("mlflow-artifacts:") {
        let parts = parts(path);
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        return match words.as_slice() {
            [experiment, "models", model, "artifacts", folder @ ..] => {
                Some(Place { owner: owner(experiment, &format!("loggedModels/{model}"))?, folder: folder.join("/") })
            }
            [experiment, run, "artifacts", folder @ ..] => {
                Some(Place { owner: owner(experiment, &format!("runs/{run}"))?, folder: folder.join("/") })
            }
            _ => None,
        };
    }
    let path = facts.artifact_uri.strip_prefix("runs:")?;
    let parts = parts(path);
    let (run, folder) = parts.split_first()?;
    let owner: Name = facts.source_run.parse().ok()?;
    let is_its_own = owner.matches("projects/*/experiments/*/runs/*").is_some_and(|ids| ids[2] == run.as_str());
    is_its_own.then(|| Place { owner, folder: folder.join("/") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_a_folder_of_a_run_or_a_logged_model() {
        let project: ProjectName = "projects/p".parse().unwrap();
        let run = "projects/p/experiments/1/runs/r";
        let place = |uri: &str, run: &str| {
            let facts = Facts { artifact_uri: uri.into(), source_run: run.into(), ..Facts::default() };
            place(&project, &facts).map(|place| (place.owner.to_string(), place.folder))
        };
        let at = |owner: &str, folder: &str| Some((owner.to_owned(), folder.to_owned()));
        let model = "projects/p/experiments/1/loggedModels/m-1";
        assert_eq!(place("mlflow-artifacts:/1/models/m-1/artifacts", ""), at(model, ""));
        assert_eq!(place("mlflow-artifacts:/1/r/artifacts/a//b/", run), at(run, "a/b"));
        assert_eq!(place("runs:/r/model", run), at(run, "model"));
        for (uri, run) in [
            ("runs:/r/model", "r"),
            ("runs:/q/model", run),
            ("s3://b/model", run),
            ("", run),
            ("mlflow-artifacts:/x", run),
        ] {
            assert_eq!(place(uri, run), None, "{uri}");
        }
    }
}
