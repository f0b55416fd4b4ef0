//! `cairn models register`: the next version of a model, from a run, from elsewhere, or from files that are here.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_client::{Fault, Query};
use serde_json::{Map, Value, json};

use super::exit::{Missing, Unusable};
use super::session::{Session, given, pairs};
use super::version_files::{self, Kept};
use super::{run_source, runs};

const MODELS: &str = "registry.v1.RegisteredModelService";
const VERSIONS: &str = "registry.v1.ModelVersionService";

/// As it is typed: the parser's own usage would have the model behind the files.
const USAGE: &str = "cairn models register [OPTIONS] <MODEL> <FILE>...
       cairn models register [OPTIONS] <MODEL> --run <RUN> [--path <ARTIFACT_PATH>]
       cairn models register [OPTIONS] <MODEL> --source <URI>";

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("origin").required(true), override_usage = USAGE)]
pub struct Command {
    /// What people call the model, its id, or its full name. If nothing is called so, it is made.
    model: String,
    /// What to upload as the version's files: a file under its own name, a folder as all that is in it.
    #[arg(value_name = "FILE", group = "origin")]
    files: Vec<PathBuf>,
    /// The run that made it, by its id or full name. The version's files are the run's, or those of the model it logged.
    #[arg(long, group = "origin")]
    run: Option<String>,
    /// Only what lies below this folder of the run, or the newest model of this name that it logged, e.g. `model`.
    #[arg(long, requires = "run", conflicts_with_all = ["files", "source"], value_name = "ARTIFACT_PATH")]
    path: Option<String>,
    /// Where its files are already, e.g. `models:/m-…`, `models:/fraud/3`, `runs:/…/model`, `s3://…`.
    #[arg(long, group = "origin", value_name = "URI")]
    source: Option<String>,
    /// Refuses a model that is not there instead of making it.
    #[arg(long)]
    existing: bool,
    /// Notes for people, in Markdown.
    #[arg(long)]
    description: Option<String>,
    /// `KEY=VALUE`, any number of times.
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,
    /// What it was made with, e.g. `sklearn`, `xgboost`, `pytorch`.
    #[arg(long)]
    framework: Option<String>,
    /// How good it is: `NAME=NUMBER`, any number of times.
    #[arg(long = "metric", value_name = "NAME=NUMBER")]
    metrics: Vec<String>,
    /// What it was trained with: `NAME=VALUE`, any number of times.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// A file that says in JSON what it takes and gives: `{"inputs": [{"label": "age", "dtype": "int64"}], "outputs": […]}`.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

pub async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    // What is wrong with the command is said before anything is sent.
    let mut version = said(&command)?;
    let files = version_files::find(&command.files)?;
    let run = match &command.run {
        Some(run) => Some(runs::name(session, run).await?),
        None => None,
    };
    let model = find(session, &command.model).await?;
    if model.is_none() && command.existing {
        return Err(Missing(format!("no model {:?} in {}", command.model, session.project())).into());
    }
    let kept = match files.is_empty() {
        true => None,
        false => Some(Kept::upload(session, &project_of(session, model.as_deref()), &command.model, files).await?),
    };
    let source = match (&kept, run) {
        (Some(kept), _) => json!({"source_uri": kept.uri(), "source_model": kept.id()}),
        (None, Some(run)) => run_source::find(session, &run, command.path.as_deref().unwrap_or_default()).await?,
        (None, None) => of_uri(command.source.as_deref().unwrap_or_default()),
    };
    extend(&mut version, source);
    let answer = match register(session, &command.model, model, version).await {
        Ok(answer) => answer,
        Err(Failed { fault, is_certain: true }) => {
            if let Some(kept) = &kept {
                kept.discard(session).await;
            }
            return Err(fault);
        }
        Err(Failed { fault, is_certain: false }) => {
            let stays = kept.map(|kept| format!("; its files stay as {}", kept.uri())).unwrap_or_default();
            return Err(fault.context(format!("it is not known whether the version was registered{stays}")));
        }
    };
    if command.run.is_some() && answer["artifact_manifest"]["state"] == "MANIFEST_STATE_ELSEWHERE" {
        let source = answer["source_uri"].as_str().unwrap_or_default();
        session.output.warn(&format!(
            "nothing is stored under {source}: the version has no files (`cairn artifacts list` shows the run's)"
        ));
    }
    session.output.done(&format!("registered {}", answer["name"].as_str().unwrap_or_default()), &answer)
}

/// A version that was not registered, or perhaps was.
struct Failed {
    fault: anyhow::Error,
    /// Whether it certainly was not.
    is_certain: bool,
}

/// Registers a version, making its model first if there is none. A model that was made for a version which is refused
/// is taken away again.
async fn register(session: &Session, called: &str, model: Option<String>, version: Value) -> Result<Value, Failed> {
    let certain = |fault| Failed { fault, is_certain: true };
    let (model, made) = match model {
        Some(model) => (model, None),
        None => version_files::unless_interrupted(make(session, called)).await.map_err(certain)?,
    };
    let rpc = format!("{VERSIONS}/CreateModelVersion");
    let request = json!({"parent": model, "model_version": version});
    let fault = match version_files::unless_interrupted(session.call(&rpc, request)).await {
        Ok(answer) => return Ok(answer),
        Err(fault) => fault,
    };
    let is_certain = is_refusal(&fault);
    if let Some(etag) = made.filter(|_| is_certain) {
        // With its etag: if somebody else uses it by now, it stays, and that is nothing to hear of.
        let _ = session.call(&format!("{MODELS}/DeleteRegisteredModel"), json!({"name": model, "etag": etag})).await;
    }
    Err(Failed { fault, is_certain })
}

/// The new model's full name, with its etag; without, if somebody else has made it meanwhile.
async fn make(session: &Session, called: &str) -> anyhow::Result<(String, Option<Value>)> {
    let request = json!({"parent": session.project(), "display_name": called});
    match session.call(&format!("{MODELS}/CreateRegisteredModel"), request).await {
        Ok(mut made) => Ok((name_of(&made)?, Some(made["etag"].take()))),
        Err(fault) if is_taken(&fault) => match find(session, called).await? {
            Some(model) => Ok((model, None)),
            None => Err(fault),
        },
        Err(fault) => Err(fault),
    }
}

/// The full name of the model that is called so, or has this id.
async fn find(session: &Session, called: &str) -> anyhow::Result<Option<String>> {
    if called.contains('/') {
        let found = session.call(&format!("{MODELS}/GetRegisteredModel"), json!({"name": called})).await?;
        return name_of(&found).map(Some);
    }
    let by_title = with_title(session, called).await?;
    let by_id = with_id(session, called).await?;
    match (by_title, by_id) {
        (Some(titled), Some(id)) if titled != id => {
            let problem = format!("{called:?} is what {titled} is called and the id of {id}: give its full name");
            Err(Unusable(problem).into())
        }
        (by_title, by_id) => Ok(by_title.or(by_id)),
    }
}

async fn with_title(session: &Session, title: &str) -> anyhow::Result<Option<String>> {
    let query = Query::new().with_filter("name", title);
    // Filters have no escapes. What holds both quotes is looked for among all.
    let query = if query.clone().build().is_ok() { query } else { Query::new() };
    let rpc = format!("{MODELS}/ListRegisteredModels");
    let mut pages = session.pages(&rpc, json!({"parent": session.project()}), query)?;
    while let Some(page) = pages.next().await? {
        if let Some(model) = page.iter().find(|model| model["display_name"] == title) {
            return name_of(model).map(Some);
        }
    }
    Ok(None)
}

async fn with_id(session: &Session, id: &str) -> anyhow::Result<Option<String>> {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+~".contains(&byte)) {
        return Ok(None);
    }
    let name = format!("{}/models/{id}", session.project());
    match session.call(&format!("{MODELS}/GetRegisteredModel"), json!({"name": name})).await {
        Ok(found) => name_of(&found).map(Some),
        Err(fault) => match fault.downcast_ref() {
            Some(Fault::Refused { status: 400 | 404, .. }) => Ok(None),
            _ => Err(fault),
        },
    }
}

fn name_of(model: &Value) -> anyhow::Result<String> {
    Ok(model["name"].as_str().context("the server tells of a model without its name")?.to_owned())
}

/// Files belong to the project of their model.
fn project_of(session: &Session, model: Option<&str>) -> String {
    match model.and_then(|model| model.split_once("/models/")) {
        Some((project, _)) => project.to_owned(),
        None => session.project(),
    }
}

/// What the command says of the version itself.
fn said(command: &Command) -> anyhow::Result<Value> {
    let signature = command.signature.as_deref().map(signature).transpose()?;
    Ok(given(json!({
        "description": command.description, "tags": pairs(&command.tags)?, "framework": command.framework,
        "metrics": metrics(&command.metrics)?, "hyperparameters": pairs(&command.params)?, "signature": signature,
    })))
}

fn metrics(arguments: &[String]) -> anyhow::Result<Value> {
    let mut numbers = Map::new();
    for argument in arguments {
        let wrong = || Fault::Invalid(format!("{argument:?} is not NAME=NUMBER"));
        let (name, number) = argument.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        numbers.insert(name.to_owned(), in_json(number));
    }
    Ok(Value::Object(numbers))
}

/// JSON of the contract has words for the numbers that JSON has not.
fn in_json(number: f64) -> Value {
    match number {
        _ if number.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        number => json!(number),
    }
}

fn signature(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let read: Value = serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    if !read.is_object() {
        bail!("{} holds no signature: it is like {{\"inputs\": […], \"outputs\": […]}}", file.display());
    }
    Ok(read)
}

/// Of an address within a run the server wants to hear which run.
fn of_uri(uri: &str) -> Value {
    match uri.strip_prefix("runs:").and_then(|path| path.trim_start_matches('/').split('/').next()) {
        Some(run) if !run.is_empty() => json!({"source_uri": uri, "source_run": run}),
        _ => json!({"source_uri": uri}),
    }
}

fn extend(version: &mut Value, source: Value) {
    if let (Some(version), Value::Object(source)) = (version.as_object_mut(), source) {
        version.extend(source);
    }
}

/// Whether the server said no: then nothing has happened. Other faults leave that open.
fn is_refusal(fault: &anyhow::Error) -> bool {
    match fault.downcast_ref::<Fault>() {
        Some(Fault::Refused { status, .. }) => (400..500).contains(status) && *status != 408,
        Some(Fault::Invalid(_)) => true,
        _ => false,
    }
}

fn is_taken(fault: &anyhow::Error) -> bool {
    matches!(fault.downcast_ref(), Some(Fault::Refused { code, .. }) if code == "ALREADY_EXISTS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_beside_the_address_within_it() {
        assert_eq!(of_uri("runs:/r/model"), json!({"source_uri": "runs:/r/model", "source_run": "r"}));
        assert_eq!(of_uri("models:/m-1"), json!({"source_uri": "models:/m-1"}));
    }

    #[test]
    fn metrics_are_numbers_and_said_so_in_words_where_json_has_none() {
        let read = |text: &str| metrics(&[text.to_owned()]);
        assert_eq!(read("auc=0.5").unwrap(), json!({"auc": 0.5}));
        assert_eq!(read("a=b=1").unwrap_err().to_string(), "\"a=b=1\" is not NAME=NUMBER");
        assert_eq!(read("loss=nan").unwrap(), json!({"loss": "NaN"}));
        assert_eq!(read("loss=-inf").unwrap(), json!({"loss": "-Infinity"}));
        for wrong in ["auc", "=1", "auc=", "auc=high"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_refusal_is_certain() {
        let refused = |status| {
            let (code, reason, message) = (String::new(), String::new(), String::new());
            anyhow::Error::new(Fault::Refused { status, code, reason, message, body: Value::Null })
        };
        assert!([400, 403, 404, 409, 429].into_iter().all(|status| is_refusal(&refused(status))));
        assert!(![408, 500, 503, 504].into_iter().any(|status| is_refusal(&refused(status))));
        assert!(!is_refusal(&anyhow::anyhow!("interrupted")));
    }
}
