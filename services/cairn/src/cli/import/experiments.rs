use std::collections::BTreeSet;

use anyhow::bail;
use cairn_kernel::Time;
use cairn_objects::Digest;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::Import;
use super::pairs::{EXPERIMENT_TAG_CHARS_MAX, chunks, moment, pairs, text};
use super::report::{Kind, Outcome};
use super::target::is_fatal;
use crate::cli::session::given;

const EXPERIMENTS: &str = "experiments.v1.ExperimentService";
const IMPORTS: &str = "experiments.v1.ImportService";

/// Every project's own first experiment; every MLflow server's, too.
const DEFAULT: &str = "0";

impl Import {
    /// Takes over experiments, each with all that is in it.
    pub async fn experiments(&self) -> anyhow::Result<()> {
        let wanted: BTreeSet<&str> = self.options.experiments.iter().map(String::as_str).collect();
        let mut missing = wanted.clone();
        let mut pages = self.source.experiments();
        while let Some(page) = pages.next().await? {
            for experiment in &page {
                let name = text(&experiment["name"]);
                missing.remove(name);
                if wanted.is_empty() || wanted.contains(name) {
                    let label = format!("experiment {name:?} ({})", text(&experiment["experiment_id"]));
                    let done = self.experiment(experiment, &label).await;
                    self.settled(label, done)?;
                }
            }
        }
        for name in missing {
            self.report.leave_out(format!("experiment {name:?}"), "there is none of this name");
        }
        Ok(())
    }

    /// Whether to go on: what fails by itself is left out, and what would fail for everything ends it.
    pub fn settled(&self, label: String, done: anyhow::Result<()>) -> anyhow::Result<()> {
        match done {
            Err(fault) if is_fatal(&fault) => Err(fault.context(label)),
            Err(fault) => {
                self.report.leave_out(label, format!("{fault:#}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn experiment(&self, experiment: &Value, label: &str) -> anyhow::Result<()> {
        let id = text(&experiment["experiment_id"]);
        self.bar.set_message(label.to_owned());
        if self.is_dry() {
            self.report.found(Kind::Experiments, 1);
        }
        let name = format!("{}/experiments/{id}", self.target.project());
        let is_deleted = experiment["lifecycle_stage"] == "deleted";
        if !self.is_dry() && !self.made_experiment(experiment, &name, label, is_deleted).await? {
            return Ok(());
        }
        self.contents(id, &name).await?;
        if self.source.has_traces(id).await? {
            self.report.leave_out(format!("traces of {label}"), "traces are not imported");
        }
        // Last: a deleted experiment takes nothing more.
        if is_deleted && !self.is_dry() {
            self.target.call(&format!("{EXPERIMENTS}/DeleteExperiment"), json!({"name": name})).await?;
        }
        Ok(())
    }

    /// Sees to it that the experiment is there. Gives whether anything more is to be done for it.
    async fn made_experiment(
        &self,
        experiment: &Value,
        name: &str,
        label: &str,
        is_deleted: bool,
    ) -> anyhow::Result<bool> {
        let id = text(&experiment["experiment_id"]);
        let tags = pairs(&experiment["tags"], EXPERIMENT_TAG_CHARS_MAX, label, &self.report);
        let found = self.target.find(&format!("{EXPERIMENTS}/GetExperiment"), json!({"name": name})).await?;
        if let Some(found) = found {
            if id != DEFAULT && !is_same_moment(&found["create_time"], &experiment["creation_time"]) {
                bail!("the project has another experiment with this id; import into a project of its own");
            }
            match (found["lifecycle"] == "LIFECYCLE_DELETED", is_deleted) {
                (true, true) => {
                    self.report.count(Kind::Experiments, Outcome::Unchanged, 1);
                    return Ok(false);
                }
                (true, false) => bail!("it was deleted here after it was imported"),
                (false, _) => {}
            }
            if found["display_name"] != experiment["name"] {
                self.report.leave_out(
                    format!("the name of {label}"),
                    format!("here it is called {:?}, and stays so", text(&found["display_name"])),
                );
            }
            let missing: serde_json::Map<String, Value> =
                tags.into_iter().filter(|(key, _)| found["tags"].get(key).is_none()).collect();
            let outcome = if missing.is_empty() { Outcome::Unchanged } else { Outcome::Imported };
            self.tag_experiment(name, chunks(missing)).await?;
            self.report.count(Kind::Experiments, outcome, 1);
            return Ok(true);
        }
        let mut chunks = chunks(tags).into_iter();
        let request = given(json!({
            "parent": self.target.project(), "experiment_id": id, "display_name": experiment["name"],
            "tags": chunks.next(), "create_time": moment(&experiment["creation_time"]),
            "source": self.source.name(), "request_id": self.request("experiment", id),
        }));
        self.target.call(&format!("{IMPORTS}/ImportExperiment"), request).await?;
        self.tag_experiment(name, chunks.collect()).await?;
        self.report.count(Kind::Experiments, Outcome::Imported, 1);
        Ok(true)
    }

    async fn tag_experiment(&self, name: &str, chunks: Vec<serde_json::Map<String, Value>>) -> anyhow::Result<()> {
        for tags in chunks.into_iter().filter(|tags| !tags.is_empty()) {
            self.target.call(&format!("{EXPERIMENTS}/SetExperimentTags"), json!({"name": name, "tags": tags})).await?;
        }
        Ok(())
    }

    /// Runs, several at a time and never more than a page of them in memory; then the models that they logged.
    async fn contents(&self, id: &str, name: &str) -> anyhow::Result<()> {
        let jobs = usize::from(self.options.jobs);
        let mut pages = self.source.runs(id);
        while let Some(page) = pages.next().await? {
            self.bar.inc_length(page.len() as u64);
            if self.is_dry() {
                self.report.found(Kind::Runs, page.len());
                continue;
            }
            let runs = stream::iter(page.into_iter().map(|run| self.run(name, run)));
            runs.buffer_unordered(jobs).try_collect::<Vec<()>>().await?;
        }
        let mut pages = self.source.logged_models(id);
        while let Some(page) = pages.next().await? {
            self.bar.inc_length(page.len() as u64);
            if self.is_dry() {
                self.report.found(Kind::LoggedModels, page.len());
                continue;
            }
            let models = stream::iter(page.into_iter().map(|model| self.logged_model(name, model)));
            models.buffer_unordered(jobs).try_collect::<Vec<()>>().await?;
        }
        Ok(())
    }

    /// Names the request that makes a thing: the same each time, so that one whose answer was lost is not made twice.
    pub fn request(&self, kind: &str, id: &str) -> String {
        let text = format!("{}\n{}\n{kind}\n{id}", self.source.name(), self.target.project());
        format!("import-{}", Digest::of(text.as_bytes()))
    }
}

/// Whether what is here is from when what is there is.
pub fn is_same_moment(here: &Value, there: &Value) -> bool {
    let there = moment(there).as_deref().and_then(Time::parse);
    there.is_some() && here.as_str().and_then(Time::parse) == there
}
