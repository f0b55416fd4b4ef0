use std::collections::BTreeSet;

use anyhow::bail;
use cairn_objects::Digest;
use serde_json::{Map, Value, json};

use super::Import;
use super::files::Place;
use super::pairs::{PARAM_CHARS_MAX, TAG_CHARS_MAX, chunks, moment, pairs, text};
use super::report::{Kind, Outcome};
use crate::cli::session::given;

const RUNS: &str = "experiments.v1.RunService";
const MODELS: &str = "experiments.v1.LoggedModelService";
const IMPORTS: &str = "experiments.v1.ImportService";

/// Points of one batch.
const POINTS_MAX: usize = 5000;
/// Data sets or models of one request.
const LINKS_MAX: usize = 100;

impl Import {
    /// Takes over a run, or what of it is missing.
    pub async fn run(&self, experiment: &str, run: Value) -> anyhow::Result<()> {
        let label = format!("run {}", text(&run["info"]["run_id"]));
        let done = self.take_run(experiment, &run, &label).await;
        self.bar.inc(1);
        self.settled(label, done.map(|outcome| self.report.count(Kind::Runs, outcome, 1)))
    }

    async fn take_run(&self, experiment: &str, run: &Value, label: &str) -> anyhow::Result<Outcome> {
        let (info, data) = (&run["info"], &run["data"]);
        let id = text(&info["run_id"]);
        let name = format!("{experiment}/runs/{id}");
        let is_deleted = info["lifecycle_stage"] == "deleted";
        let found = self.target.find(&format!("{RUNS}/GetRun"), json!({"name": name})).await?;
        if let Some(found) = &found {
            match (found["lifecycle"] == "LIFECYCLE_DELETED", is_deleted) {
                (true, true) => return Ok(Outcome::Unchanged),
                (true, false) => bail!("it was deleted here after it was imported"),
                (false, _) => {}
            }
            // Ending it is the last that is done to a run but for deleting it: nothing of it is missing.
            if ended(text(&found["state"]).trim_start_matches("RUN_STATE_")).is_some() {
                return self.delete_run(&name, is_deleted).await;
            }
        }
        let params = chunks(pairs(&data["params"], PARAM_CHARS_MAX, label, &self.report));
        let tags = chunks(pairs(&data["tags"], TAG_CHARS_MAX, label, &self.report));
        let mut is_changed = found.is_none();
        if found.is_none() {
            let state = if info["status"] == "SCHEDULED" { "RUN_STATE_SCHEDULED" } else { "RUN_STATE_RUNNING" };
            let request = given(json!({
                "parent": experiment, "run_id": id, "display_name": info["run_name"], "user": info["user_id"],
                "start_time": moment(&info["start_time"]), "state": state, "params": params[0], "tags": tags[0],
                "source": self.source.name(), "request_id": self.request("run", id),
            }));
            let made = self.target.call(&format!("{IMPORTS}/ImportRun"), request).await?;
            self.dropped(&made, label);
        }
        for params in &params[1..] {
            is_changed |= self.batch(&name, json!({"params": params}), label).await?;
        }
        for tags in &tags[1..] {
            is_changed |= self.batch(&name, json!({"tags": tags}), label).await?;
        }
        is_changed |= self.points(&name, run, label).await?;
        self.links(&name, run).await?;
        is_changed |= self.files(Place::Run(id), &name, label).await? > 0;
        if let Some(state) = ended(text(&info["status"])) {
            // A run that ended without saying when is taken to have ended as it began.
            let end_time = moment(&info["end_time"]).or_else(|| moment(&info["start_time"]));
            let request = given(json!({"name": name, "state": state, "end_time": end_time}));
            self.target.call(&format!("{RUNS}/FinishRun"), request).await?;
            is_changed = true;
        }
        let outcome = self.delete_run(&name, is_deleted).await?;
        Ok(if is_changed { Outcome::Imported } else { outcome })
    }

    async fn delete_run(&self, name: &str, is_deleted: bool) -> anyhow::Result<Outcome> {
        if !is_deleted {
            return Ok(Outcome::Unchanged);
        }
        self.target.call(&format!("{RUNS}/DeleteRun"), json!({"name": name})).await?;
        Ok(Outcome::Imported)
    }

    /// Sends a batch under the digest of what it holds: sent again, it changes nothing. Gives whether it was new.
    async fn batch(&self, run: &str, mut content: Value, label: &str) -> anyhow::Result<bool> {
        content.sort_all_objects();
        let digest = Digest::of(content.to_string().as_bytes());
        content["name"] = json!(run);
        content["batch_id"] = json!(format!("import-{digest}"));
        let answer = self.target.call(&format!("{RUNS}/LogBatch"), content).await?;
        self.dropped(&answer, label);
        Ok(answer["replayed"] != true)
    }

    /// Every point of every metric, in batches that do not depend on what has been sent before.
    async fn points(&self, name: &str, run: &Value, label: &str) -> anyhow::Result<bool> {
        let (mut batch, mut is_changed) = (vec![], false);
        let mut pages = self.source.points(run);
        while let Some(page) = pages.next().await? {
            for point in &page {
                batch.push(point_of(point));
                if batch.len() == POINTS_MAX {
                    is_changed |= self.send_points(name, std::mem::take(&mut batch), label).await?;
                }
            }
        }
        is_changed |= self.send_points(name, batch, label).await?;
        Ok(is_changed)
    }

    async fn send_points(&self, name: &str, batch: Vec<Value>, label: &str) -> anyhow::Result<bool> {
        if batch.is_empty() {
            return Ok(false);
        }
        let many = batch.len();
        let is_new = self.batch(name, json!({"metrics": batch}), label).await?;
        self.report.count(Kind::Points, if is_new { Outcome::Imported } else { Outcome::Unchanged }, many);
        Ok(is_new)
    }

    /// What it read and what it made.
    async fn links(&self, name: &str, run: &Value) -> anyhow::Result<()> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let datasets: Vec<Value> = list(&run["inputs"]["dataset_inputs"]).iter().map(dataset_of).collect();
        for datasets in datasets.chunks(LINKS_MAX) {
            let request = json!({"name": name, "datasets": datasets});
            self.target.call(&format!("{RUNS}/LogInputs"), request).await?;
        }
        for models in self.source.model_inputs(text(&run["info"]["run_id"])).await?.chunks(LINKS_MAX) {
            let models: Vec<Value> = models.iter().map(|input| json!({"model": input["model_id"]})).collect();
            self.target.call(&format!("{RUNS}/LogInputs"), json!({"name": name, "models": models})).await?;
        }
        for models in list(&run["outputs"]["model_outputs"]).chunks(LINKS_MAX) {
            let model = |output: &Value| json!({"model": output["model_id"], "step": whole(&output["step"])});
            let models: Vec<Value> = models.iter().map(model).collect();
            self.target.call(&format!("{RUNS}/LogOutputs"), json!({"name": name, "models": models})).await?;
        }
        Ok(())
    }

    /// Names that the target does not keep, because the run or the project has too many.
    fn dropped(&self, answer: &Value, label: &str) {
        for entry in answer["dropped_entries"].as_array().into_iter().flatten() {
            let why = format!("a {} of more than the target keeps ({})", text(&entry["kind"]), text(&entry["limit"]));
            self.report.leave_out(format!("{label}, {:?}", text(&entry["key"])), why);
        }
    }

    /// Takes over a logged model, or what of it is missing.
    pub async fn logged_model(&self, experiment: &str, model: Value) -> anyhow::Result<()> {
        let label = format!("logged model {}", text(&model["info"]["model_id"]));
        let done = self.take_logged_model(experiment, &model, &label).await;
        self.bar.inc(1);
        self.settled(label, done.map(|outcome| self.report.count(Kind::LoggedModels, outcome, 1)))
    }

    async fn take_logged_model(&self, experiment: &str, model: &Value, label: &str) -> anyhow::Result<Outcome> {
        let (info, data) = (&model["info"], &model["data"]);
        let id = text(&info["model_id"]);
        let name = format!("{experiment}/loggedModels/{id}");
        let found = self.target.find(&format!("{MODELS}/GetLoggedModel"), json!({"name": name})).await?;
        if found.as_ref().is_some_and(|found| found["state"] != "LOGGED_MODEL_STATE_PENDING") {
            return Ok(Outcome::Unchanged);
        }
        let params = chunks(pairs(&data["params"], PARAM_CHARS_MAX, label, &self.report));
        let tags = chunks(pairs(&info["tags"], TAG_CHARS_MAX, label, &self.report));
        let mut is_changed = found.is_none();
        if found.is_none() {
            let request = given(json!({
                "parent": experiment, "logged_model_id": id, "display_name": info["name"],
                "source_run": info["source_run_id"], "model_type": info["model_type"], "params": params[0],
                "tags": tags[0], "create_time": moment(&info["creation_timestamp_ms"]),
                "source": self.source.name(), "request_id": self.request("logged model", id),
            }));
            self.target.call(&format!("{IMPORTS}/ImportLoggedModel"), request).await?;
        }
        for params in &params[1..] {
            let request = json!({"name": name, "params": params});
            self.target.call(&format!("{MODELS}/LogLoggedModelParams"), request).await?;
        }
        for tags in &tags[1..] {
            self.target.call(&format!("{MODELS}/SetLoggedModelTags"), json!({"name": name, "tags": tags})).await?;
        }
        is_changed |= self.files(Place::Model(id), &name, label).await? > 0;
        self.measured(experiment, data, label).await?;
        let state = match text(&info["status"]) {
            "LOGGED_MODEL_READY" => Some("LOGGED_MODEL_STATE_READY"),
            "LOGGED_MODEL_UPLOAD_FAILED" => Some("LOGGED_MODEL_STATE_FAILED"),
            _ => None,
        };
        if let Some(state) = state {
            let request = json!({"name": name, "state": state});
            self.target.call(&format!("{MODELS}/FinalizeLoggedModel"), request).await?;
            is_changed = true;
        }
        Ok(if is_changed { Outcome::Imported } else { Outcome::Unchanged })
    }

    /// What runs measured of a model. The points are in the histories of the runs already, where a repeat is the same
    /// point; this says that they are about the model as well.
    async fn measured(&self, experiment: &str, data: &Value, label: &str) -> anyhow::Result<()> {
        let metrics = data["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
        let runs: BTreeSet<&str> = metrics.iter().map(|metric| text(&metric["run_id"])).collect();
        for run in runs.into_iter().filter(|run| !run.is_empty()) {
            let of_run: Vec<Value> =
                metrics.iter().filter(|metric| metric["run_id"] == run).map(measured_point_of).collect();
            for points in of_run.chunks(POINTS_MAX) {
                let name = format!("{experiment}/runs/{run}");
                let done = self.batch(&name, json!({"metrics": points}), label).await.map(drop);
                self.settled(format!("what run {run} measured of {label}"), done)?;
            }
        }
        Ok(())
    }
}

/// How a run ended, if it has.
fn ended(status: &str) -> Option<&'static str> {
    match status {
        "FINISHED" => Some("RUN_STATE_FINISHED"),
        "FAILED" => Some("RUN_STATE_FAILED"),
        "KILLED" => Some("RUN_STATE_KILLED"),
        _ => None,
    }
}

/// NaN is text on both sides.
fn point_of(point: &Value) -> Value {
    given(json!({
        "key": point["key"], "value": point["value"], "step": whole(&point["step"]),
        "log_time": moment(&point["timestamp"]),
    }))
}

fn measured_point_of(point: &Value) -> Value {
    let subject = Map::from_iter([
        ("model".to_owned(), point["model_id"].clone()),
        ("dataset_name".to_owned(), point["dataset_name"].clone()),
        ("dataset_digest".to_owned(), point["dataset_digest"].clone()),
    ]);
    let mut measured = point_of(point);
    if let Some(fields) = measured.as_object_mut() {
        fields.extend(subject.into_iter().filter(|(_, value)| !value.is_null()));
    }
    measured
}

/// 64-bit numbers travel as text.
fn whole(number: &Value) -> Value {
    match number {
        Value::Number(number) => json!(number.to_string()),
        other => other.clone(),
    }
}

fn dataset_of(input: &Value) -> Value {
    let dataset = &input["dataset"];
    let tags: Map<String, Value> = input["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| (text(&tag["key"]).to_owned(), tag["value"].clone()))
        .collect();
    given(json!({
        "display_name": dataset["name"], "digest": dataset["digest"], "source_type": dataset["source_type"],
        "source": dataset["source"], "schema": dataset["schema"], "profile": dataset["profile"], "tags": tags,
    }))
}
