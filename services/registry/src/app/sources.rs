//! Where the files of a version are: read from what its maker says, and held against what experiments made.

use cairn_kernel::Code;
use cairn_service::Refusal;
use percent_encoding::percent_decode_str;

use super::{App, Call};
use crate::model::{Number, ProjectName};
use crate::query::SourceModel;

/// What a version is made from, as its maker says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub uri: String,
    /// Id of the run, or empty.
    pub run: String,
    /// Id of the logged model, or empty.
    pub model: String,
}

/// A source, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// As it is kept: an alias among the versions it names has become a number.
    pub uri: String,
    /// Full name of the run, or its id if it is not known here; or empty.
    pub run: String,
    pub model: String,
    /// Where the files are.
    pub artifact_uri: String,
}

impl App {
    /// Understands where a version comes from.
    ///
    /// An address within the artifact store must lie where the named run or logged model keeps its files: whoever
    /// registers a version could otherwise point at files of somebody else. What lies elsewhere is the maker's word.
    pub async fn locate(&self, call: &Call, project: &ProjectName, source: Source) -> Result<Located, Refusal> {
        // A run made a moment ago counts.
        self.reached(self.head(), call.deadline).await?;
        let Source { uri, run, model } = source;
        if let Some(reference) = uri.strip_prefix("models:") {
            return self.of_model(call, project, reference.trim_start_matches('/').to_owned(), &uri, run, model).await;
        }
        if uri.split(['/', '\\']).any(is_dots) {
            return Err(invalid(&uri, "it must not contain `..`"));
        }
        if let Some(path) = uri.strip_prefix("runs:") {
            let id = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            if id.is_empty() || id != run {
                return Err(invalid(&uri, "the run_id must be that of the run in the address"));
            }
        }
        if is_local(&uri) {
            return Err(invalid(&uri, "a path on somebody's disk is no place that others can read"));
        }
        let known_run = match run.as_str() {
            "" => None,
            id => self.inner.query.source_run(project, id).await?,
        };
        let known_model = match model.as_str() {
            "" => None,
            id => self.inner.query.source_model(project, id).await?,
        };
        if uri.starts_with("mlflow-artifacts:") {
            let run_root = known_run.as_ref().map(|known| match known.location.as_str() {
                "" => format!("mlflow-artifacts:/{}/{run}/artifacts", known.experiment),
                location => location.to_owned(),
            });
            let model_root = known_model.as_ref().map(|known| model_root(&model, known));
            let is_within = |root: &Option<String>| root.as_ref().is_some_and(|root| lies_within(&uri, root));
            if !is_within(&run_root) && !is_within(&model_root) {
                return Err(invalid(&uri, "it does not lie where the named run or logged model keeps its files"));
            }
        }
        let run = match (known_run, &known_model) {
            (Some(known), _) => run_name(project, &known.experiment, &run),
            (None, Some(known)) if run.is_empty() && !known.run.is_empty() => {
                run_name(project, &known.experiment, &known.run)
            }
            (None, _) => run,
        };
        Ok(Located { artifact_uri: uri.clone(), uri, run, model })
    }

    /// `models:/m-…` is a logged model; `models:/{name}/{version}` and `models:/{name}@{alias}` are versions.
    async fn of_model(
        &self,
        call: &Call,
        project: &ProjectName,
        reference: String,
        uri: &str,
        run: String,
        model: String,
    ) -> Result<Located, Refusal> {
        let (name, rest) = match reference.split_once(['/', '@']) {
            Some((name, rest)) => (name, Some(rest)),
            None => (reference.as_str(), None),
        };
        let Some(rest) = rest else {
            let known = self.inner.query.source_model(project, name).await?;
            let known = known.ok_or_else(|| invalid(uri, "there is no such logged model in the project"))?;
            if !model.is_empty() && model != name {
                return Err(invalid(uri, "the model_id must be that of the logged model in the address"));
            }
            let run = if run.is_empty() { known.run.clone() } else { run };
            let run = if run.is_empty() { run } else { run_name(project, &known.experiment, &run) };
            let artifact_uri = model_root(name, &known);
            return Ok(Located { uri: uri.to_owned(), run, model: name.to_owned(), artifact_uri });
        };
        let holder = self.find_model(project, name).await?;
        let holder = holder.ok_or_else(|| invalid(uri, "there is no such registered model in the project"))?;
        let found = match rest.parse().ok().filter(|_| reference.contains('/')) {
            Some(number) => self.inner.query.version(&holder.version(Number(number))).await?,
            None => self.inner.query.version_by_alias(&holder, rest).await?,
        };
        let found = found.ok_or_else(|| invalid(uri, "there is no such version of the model"))?;
        self.settle(call).await?;
        let facts = &found.facts;
        let has_other =
            |given: &str, own: &str| !given.is_empty() && given != own.rsplit('/').next().unwrap_or_default();
        if has_other(&run, &facts.source_run) || has_other(&model, &facts.source_model) {
            return Err(invalid(uri, "run_id and model_id must be those of the version in the address"));
        }
        Ok(Located {
            uri: format!("models:/{name}/{}", found.name.number()),
            run: facts.source_run.clone(),
            model: facts.source_model.clone(),
            artifact_uri: facts.artifact_uri.clone(),
        })
    }
}

/// Where a logged model keeps its files.
fn model_root(model: &str, known: &SourceModel) -> String {
    match known.location.as_str() {
        "" => format!("mlflow-artifacts:/{}/models/{model}/artifacts", known.experiment),
        location => location.to_owned(),
    }
}

fn run_name(project: &ProjectName, experiment: &str, run: &str) -> String {
    format!("{project}/experiments/{experiment}/runs/{run}")
}

fn is_local(uri: &str) -> bool {
    uri.starts_with("file:") || !uri.contains(':') || uri.starts_with('/')
}

/// Whether a part of a path leads upwards, however often it is encoded.
fn is_dots(part: &str) -> bool {
    let mut part = part.to_owned();
    loop {
        let decoded = percent_decode_str(&part).decode_utf8_lossy().into_owned();
        if decoded == part {
            return part == ".." || part.contains("../");
        }
        part = decoded;
    }
}

/// Whether an address is a root or lies below it, by whole segments.
fn lies_within(uri: &str, root: &str) -> bool {
    let parts = |uri: &str| -> Vec<String> {
        let path = uri.strip_prefix("mlflow-artifacts:").unwrap_or(uri);
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (uri, root) = (parts(uri), parts(root));
    !root.is_empty() && uri.starts_with(&root)
}

fn invalid(uri: &str, problem: &str) -> Refusal {
    let message = format!("the source {uri:?} cannot be used: {problem}");
    Refusal::new(Code::InvalidArgument, "SOURCE_INVALID", message).with("source", uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_within_a_root_by_whole_segments() {
        assert!(lies_within("mlflow-artifacts:/1/r/artifacts/model", "mlflow-artifacts:/1/r/artifacts"));
        assert!(!lies_within("mlflow-artifacts:/1/r/artifacts2", "mlflow-artifacts:/1/r/artifacts"));
        assert!(!lies_within("mlflow-artifacts:/1", "mlflow-artifacts:/1/r/artifacts"));
    }

    #[test]
    fn no_encoding_hides_a_way_upwards() {
        for part in ["..", "%2e%2e", "%252e%252e", "..%2f"] {
            assert!(is_dots(part), "{part}");
        }
        assert!(!is_dots("a..b"));
    }

    #[test]
    fn a_disk_of_somebody_is_no_address() {
        assert!(is_local("/tmp/model") && is_local("file:///tmp/model") && is_local("model"));
        assert!(!is_local("s3://bucket/model") && !is_local("runs:/abc/model"));
    }
}
