//! Where what a run made lies: among its own files or, as MLflow's clients keep it since their version 3, in a model that
//! it logged.

use cairn_client::Query;
use serde_json::{Value, json};

use super::exit::Unusable;
use super::session::Session;

const ARTIFACTS: &str = "experiments.v1.ArtifactService";
const LOGGED: &str = "experiments.v1.LoggedModelService";

/// Models of one run that are looked at.
const MODELS_MAX: usize = 100;

/// The source of a version made from a folder of a run, or from all of it.
pub async fn find(session: &Session, run: &str, path: &str) -> anyhow::Result<Value> {
    let folder = path.trim_matches('/');
    let request = json!({"parent": run, "folder": folder});
    let stored = session.list(&format!("{ARTIFACTS}/ListArtifacts"), request, 1).await?;
    let logged = if stored.is_empty() { logged(session, run, folder).await? } else { vec![] };
    // The newest comes first.
    match logged.as_slice() {
        [] => Ok(of_folder(run, folder)),
        [_, _, ..] if folder.is_empty() => {
            let word = |model: &Value, field: &str| model[field].as_str().unwrap_or_default().to_owned();
            let told = logged.iter().map(|model| format!("{} ({})", word(model, "display_name"), id(model)));
            let told = told.collect::<Vec<_>>().join(", ");
            Err(Unusable(format!("{run} logged more than one model: say --path with the name of one: {told}")).into())
        }
        [model, ..] => {
            let id = id(model);
            Ok(json!({"source_uri": format!("models:/{id}"), "source_run": run, "source_model": id}))
        }
    }
}

/// The models that a run logged, of any name or of one.
async fn logged(session: &Session, run: &str, name: &str) -> anyhow::Result<Vec<Value>> {
    let Some((experiment, run)) = run.split_once("/runs/") else { return Ok(vec![]) };
    let query = Query::new().with_filter("source_run_id", run).with_filter("status", "ready");
    let query = if name.is_empty() { query } else { query.with_filter("name", name) };
    let rpc = format!("{LOGGED}/ListLoggedModels");
    let mut pages = session.pages(&rpc, json!({"parent": experiment}), query.with_limit(MODELS_MAX))?;
    let mut found = vec![];
    while let Some(page) = pages.next().await? {
        found.extend(page);
    }
    Ok(found)
}

fn id(model: &Value) -> &str {
    model["name"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default()
}

fn of_folder(run: &str, folder: &str) -> Value {
    let id = run.rsplit('/').next().unwrap_or(run);
    let uri = if folder.is_empty() { format!("runs:/{id}") } else { format!("runs:/{id}/{folder}") };
    json!({"source_uri": uri, "source_run": run})
}
