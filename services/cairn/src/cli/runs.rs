//! `cairn runs`: what was tried, and how it went.

use std::path::PathBuf;

use anyhow::Context;
use cairn_client::Fault;
use clap::Subcommand;
use serde_json::{Value, json};

use super::exit::Missing;
use super::output::{Column, line};
use super::session::{Items, Session, given, query};
use super::{comparison, nested, run_logs};

const SERVICE: &str = "experiments.v1.RunService";
const METRICS: &str = "experiments.v1.MetricService";

const COLUMNS: &[Column] = &[
    ("RUN", "id"),
    ("TITLE", "display_name"),
    ("STATE", "state"),
    ("STARTED", "start_time"),
    ("PARAMS", "params"),
    ("METRICS", "latest"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Searches runs of the project.
    List {
        /// In MLflow's language, e.g. `metrics.auc > 0.9 AND params.depth = '5'`.
        #[arg(long)]
        filter: Option<String>,
        /// Only in this state.
        #[arg(long, value_parser = ["running", "scheduled", "finished", "failed", "killed"])]
        state: Option<String>,
        /// E.g. `metrics.auc DESC`; any number of times.
        #[arg(long)]
        order_by: Vec<String>,
        /// Only of these experiments, by id or full name.
        #[arg(long = "experiment")]
        experiments: Vec<String>,
        /// Deleted ones too.
        #[arg(long)]
        deleted: bool,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows a run, named by its id or full name.
    Get {
        /// Its id, or full name.
        run: String,
    },
    /// Runs side by side: where their params, metrics, tags, data and code differ.
    Compare {
        /// Two or more, by their ids or full names.
        #[arg(required = true, num_args = 2..)]
        runs: Vec<String>,
        /// Equal rows too.
        #[arg(long)]
        all: bool,
    },
    /// The points of a metric, oldest first.
    Metrics {
        /// Its id, or full name.
        run: String,
        /// The metric's name.
        metric: String,
        /// At most so many, evenly thinned with the extremes kept.
        #[arg(long)]
        points: Option<u32>,
    },
    /// Logs params: the settings in a JSON file, nested ones under their path (`opt.lr`).
    LogParams {
        /// Its id, or full name.
        run: String,
        /// A file with a JSON object.
        file: PathBuf,
    },
    /// The params of a run.
    Params {
        /// Its id, or full name.
        run: String,
        /// As the nested settings that they were logged from, in JSON.
        #[arg(long)]
        nested: bool,
    },
    /// Prints points as they are logged, until the run ends.
    Watch {
        /// Its id, or full name.
        run: String,
        /// Only these metrics.
        #[arg(long = "metric")]
        metrics: Vec<String>,
    },
    /// What its programs print: shows it, follows it (-f), or adds to it (--append).
    Logs(run_logs::Command),
    /// Deletes a run. It can be restored.
    Delete {
        /// Its id, or full name.
        run: String,
    },
    /// Brings a run back.
    Restore {
        /// Its id, or full name.
        run: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request: Value| session.call(&format!("{SERVICE}/{method}"), request).await;
    match command {
        Command::List { filter, state, order_by, experiments, deleted, limit } => {
            let experiments: Vec<String> = experiments.iter().map(|id| experiment(&session, id)).collect();
            let request = given(json!({
                "parent": session.project(), "experiments": experiments, "show_deleted": deleted,
            }));
            let query =
                state.iter().fold(query(filter, order_by, limit), |query, state| query.with_filter("state", state));
            let items = Items::new(COLUMNS).with(summarize);
            session.show_selected(&format!("{SERVICE}/SearchRuns"), request, items, query).await
        }
        Command::Get { run } => {
            let name = name(&session, &run).await?;
            session.output.one(&call("GetRun", json!({"name": name})).await?)
        }
        Command::Compare { runs, all } => {
            let mut names = vec![];
            for run in &runs {
                names.push(name(&session, run).await?);
            }
            let request = json!({"parent": session.project(), "runs": names, "differing_only": !all});
            let sections = ["attributes", "params", "metrics", "tags", "datasets", "code"];
            comparison::print(session.output, &call("CompareRuns", request).await?, "runs", &sections)
        }
        Command::Metrics { run, metric, points } => {
            let parent = name(&session, &run).await?;
            let columns: &[Column] = &[("STEP", "step"), ("VALUE", "value"), ("TIME", "log_time")];
            let Some(points) = points else {
                let request = json!({"parent": parent, "metric": metric});
                let items = Items::new(columns);
                return session.show(&format!("{METRICS}/ListMetricPoints"), request, items, usize::MAX).await;
            };
            let request = json!({"parent": parent, "metrics": [metric], "points_max": points});
            let mut answer = session.call(&format!("{METRICS}/SampleMetrics"), request).await?;
            let found = answer["series"][0]["points"].as_array_mut().map(std::mem::take).unwrap_or_default();
            session.output.list(&found, columns)
        }
        Command::LogParams { run, file } => {
            let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let settings = serde_json::from_slice(&text)
                .with_context(|| format!("{} does not hold a JSON object", file.display()))?;
            let params: serde_json::Map<_, _> =
                nested::flatten(&settings).into_iter().map(|(key, value)| (key, Value::from(value))).collect();
            let request = json!({"name": name(&session, &run).await?, "params": params});
            let logged = call("LogBatch", request).await?;
            session.output.done(&format!("logged {} params", params.len()), &logged)
        }
        Command::Params { run, nested } => {
            let run = call("GetRun", json!({"name": name(&session, &run).await?})).await?;
            let params = run["params"].as_object().into_iter().flatten();
            let params = params.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
            if nested {
                return session.output.json(&Value::Object(nested::unflatten(params)?));
            }
            let rows: Vec<Value> = params.map(|(key, value)| json!({"key": key, "value": value})).collect();
            session.output.list(&rows, &[("PARAM", "key"), ("VALUE", "value")])
        }
        Command::Watch { run, metrics } => {
            let request = json!({"parent": name(&session, &run).await?, "metrics": metrics});
            let mut lines = session.stream(&format!("{METRICS}/WatchMetrics"), request).await?;
            while let Some(message) = lines.next().await? {
                for point in message["points"].as_array().into_iter().flatten() {
                    if session.output.is_json {
                        line(&point.to_string())?;
                        continue;
                    }
                    let cell = |key: &str| super::output::text(&point[key]);
                    line(&format!("{}  {}  step {}  {}", cell("log_time"), cell("key"), cell("step"), cell("value")))?;
                }
            }
            Ok(())
        }
        Command::Logs(command) => run_logs::run(session, command).await,
        Command::Delete { run } => {
            let name = name(&session, &run).await?;
            let gone = call("DeleteRun", json!({"name": name})).await?;
            session.output.done(&format!("deleted {name}"), &gone)
        }
        Command::Restore { run } => {
            let name = name(&session, &run).await?;
            let back = call("RestoreRun", json!({"name": name})).await?;
            session.output.done(&format!("restored {name}"), &back)
        }
    }
}

fn experiment(session: &Session, id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("{}/experiments/{id}", session.project()) }
}

/// The full name of a run that may be given by its id alone.
pub async fn name(session: &Session, run: &str) -> anyhow::Result<String> {
    if run.contains('/') {
        return Ok(run.to_owned());
    }
    if !run.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(Fault::Invalid(format!("{run:?} is neither a run id nor a full name")).into());
    }
    let request = json!({
        "parent": session.project(), "filter": format!("attributes.run_id = '{run}'"), "show_deleted": true,
    });
    let found = session.list(&format!("{SERVICE}/SearchRuns"), request, 1).await?;
    match found.first().and_then(|run| run["name"].as_str()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Missing(format!("no run {run} in {} (or it is not yours to see)", session.project())).into()),
    }
}

/// Adds what a table row shows of a run.
fn summarize(run: &mut Value) {
    let id = run["name"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default().to_owned();
    let latest = run["metrics"].as_array().into_iter().flatten().map(|metric| {
        let value =
            metric["value"].as_f64().map_or_else(|| super::output::text(&metric["value"]), |v| format!("{v:.4}"));
        format!("{}={value}", metric["key"].as_str().unwrap_or_default())
    });
    let latest = latest.take(4).collect::<Vec<_>>().join(", ");
    run["id"] = json!(id);
    run["latest"] = json!(latest);
}
