use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::Import;
use super::experiments::is_same_moment;
use super::pairs::{MODEL_TAG_CHARS_MAX, PROMPTS, chunks, moment, named, pairs, text};
use super::report::{Kind, Outcome};
use crate::cli::session::given;

const MODELS: &str = "registry.v1.RegisteredModelService";
const VERSIONS: &str = "registry.v1.ModelVersionService";
const IMPORTS: &str = "registry.v1.ImportService";

impl Import {
    /// Takes over registered models, each with its versions and then its aliases.
    pub async fn models(&self) -> anyhow::Result<()> {
        let mut pages = self.source.registered_models();
        while let Some(page) = pages.next().await? {
            self.bar.inc_length(page.len() as u64);
            for model in &page {
                let label = format!("model {:?}", text(&model["name"]));
                self.bar.set_message(label.clone());
                let done = self.model(model, &label).await;
                self.bar.inc(1);
                self.settled(label, done)?;
            }
        }
        Ok(())
    }

    async fn model(&self, model: &Value, label: &str) -> anyhow::Result<()> {
        let display_name = text(&model["name"]);
        let here = match self.is_dry() {
            true => {
                self.report.found(Kind::Models, 1);
                Value::Null
            }
            false => self.made_model(model, label).await?,
        };
        let mut pages = self.source.versions(display_name);
        while let Some(page) = pages.next().await? {
            if self.is_dry() {
                self.report.found(Kind::Versions, page.len());
                continue;
            }
            for version in &page {
                let label = format!("version {} of {label}", text(&version["version"]));
                let done = self.version(text(&here["name"]), version, &label).await;
                self.settled(label, done)?;
            }
        }
        for entry in model["aliases"].as_array().into_iter().flatten() {
            if self.is_dry() {
                self.report.found(Kind::Aliases, 1);
                continue;
            }
            let label = format!("alias {} of {label}", text(&entry["alias"]));
            let done = self.alias(&here, entry).await;
            self.settled(label, done)?;
        }
        Ok(())
    }

    /// The model as it is here, registered now if it was not.
    async fn made_model(&self, model: &Value, label: &str) -> anyhow::Result<Value> {
        // Asked before, since a refusal would be on record.
        if let Some(found) = self.called(model).await? {
            if !is_same_moment(&found["create_time"], &model["creation_timestamp"]) {
                bail!("the project has another model of this name; import into a project of its own");
            }
            self.report.count(Kind::Models, Outcome::Unchanged, 1);
            return Ok(found);
        }
        let mut chunks = chunks(pairs(&model["tags"], MODEL_TAG_CHARS_MAX, label, &self.report)).into_iter();
        let request = given(json!({
            "parent": self.target.project(), "display_name": model["name"], "description": model["description"],
            "tags": chunks.next(), "create_time": moment(&model["creation_timestamp"]),
            "source": self.source.name(),
        }));
        let made = self.target.call(&format!("{IMPORTS}/ImportRegisteredModel"), request).await?;
        for tags in chunks {
            let request = json!({"name": made["name"], "tags": tags});
            self.target.call(&format!("{MODELS}/SetRegisteredModelTags"), request).await?;
        }
        self.report.count(Kind::Models, Outcome::Imported, 1);
        Ok(made)
    }

    /// The model of the same name, if the project has one.
    async fn called(&self, model: &Value) -> anyhow::Result<Option<Value>> {
        let name = text(&model["name"]);
        let tags = model["tags"].as_array();
        let is_prompt = tags.is_some_and(|tags| tags.iter().any(|tag| tag["key"] == "mlflow.prompt.is_prompt"));
        let and = if is_prompt { format!(" AND {PROMPTS}") } else { String::new() };
        let mut request = json!({"parent": self.target.project(), "filter": format!("{}{and}", named(name))});
        loop {
            let found = self.target.call(&format!("{MODELS}/ListRegisteredModels"), request.clone()).await?;
            let mut models = found["registered_models"].as_array().into_iter().flatten();
            if let Some(found) = models.find(|found| found["display_name"] == name) {
                return Ok(Some(found.clone()));
            }
            match text(&found["next_page_token"]) {
                "" => return Ok(None),
                token => request["page_token"] = json!(token),
            }
        }
    }

    async fn version(&self, model: &str, version: &Value, label: &str) -> anyhow::Result<()> {
        let number: u32 = text(&version["version"]).parse().context("its number is none")?;
        let name = format!("{model}/versions/{number}");
        let found = self.target.find(&format!("{VERSIONS}/GetModelVersion"), json!({"name": name})).await?;
        let (here, mut outcome) = match found {
            Some(found) if is_same_moment(&found["create_time"], &version["creation_timestamp"]) => {
                (found, Outcome::Unchanged)
            }
            Some(_) => bail!("the model has another version of this number"),
            None => (self.made_version(model, number, version, label).await?, Outcome::Imported),
        };
        let stage = format!("STAGE_{}", text(&version["current_stage"]).to_uppercase());
        // Where it stands otherwise, somebody has moved it here.
        if here["stage"] == "STAGE_NONE" && !matches!(&*stage, "STAGE_NONE" | "STAGE_") {
            let request = json!({"name": name, "stage": stage});
            self.target.call(&format!("{VERSIONS}/TransitionModelVersion"), request).await?;
            outcome = Outcome::Imported;
        }
        self.report.count(Kind::Versions, outcome, 1);
        Ok(())
    }

    async fn made_version(&self, model: &str, number: u32, version: &Value, label: &str) -> anyhow::Result<Value> {
        let mut chunks = chunks(pairs(&version["tags"], MODEL_TAG_CHARS_MAX, label, &self.report)).into_iter();
        let facts = given(json!({
            "description": version["description"], "tags": chunks.next(), "source_run": version["run_id"],
            "source_model": version["model_id"], "source_uri": source_of(version), "run_link": version["run_link"],
        }));
        let request = given(json!({
            "parent": model, "version": number, "model_version": facts,
            "create_time": moment(&version["creation_timestamp"]), "source": self.source.name(),
            "request_id": self.request("version", &format!("{model}\n{number}")),
        }));
        let made = self.target.call(&format!("{IMPORTS}/ImportModelVersion"), request).await?;
        for tags in chunks {
            let request = json!({"name": made["name"], "tags": tags});
            self.target.call(&format!("{VERSIONS}/SetModelVersionTags"), request).await?;
        }
        Ok(made)
    }

    async fn alias(&self, here: &Value, entry: &Value) -> anyhow::Result<()> {
        let alias = text(&entry["alias"]);
        let version: u32 = text(&entry["version"]).parse().context("it points at no number")?;
        let outcome = match here["aliases"].get(alias).and_then(Value::as_u64) {
            Some(known) if known == u64::from(version) => Outcome::Unchanged,
            Some(known) => bail!("it points at version {known} here, and stays so"),
            None => {
                let request = json!({"name": here["name"], "alias": alias, "version": version});
                self.target.call(&format!("{MODELS}/SetModelAlias"), request).await?;
                Outcome::Imported
            }
        };
        self.report.count(Kind::Aliases, outcome, 1);
        Ok(())
    }
}

/// Where its files are once they are here: places in the store of the other server mean nothing in this one.
fn source_of(version: &Value) -> Value {
    let (source, run, model) = (text(&version["source"]), text(&version["run_id"]), text(&version["model_id"]));
    if !model.is_empty() {
        return json!(format!("models:/{model}"));
    }
    match source.split_once(&format!("/{run}/artifacts")) {
        Some((_, path)) if !run.is_empty() => json!(format!("runs:/{run}{path}")),
        _ => json!(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_other_store_become_places_in_this_one() {
        let of = |source: &str, run: &str, model: &str| {
            source_of(&json!({"source": source, "run_id": run, "model_id": model}))
        };
        assert_eq!(of("mlflow-artifacts:/1/r1/artifacts/model", "r1", ""), "runs:/r1/model");
        assert_eq!(of("/srv/mlruns/1/r1/artifacts/a/b", "r1", ""), "runs:/r1/a/b");
        assert_eq!(of("mlflow-artifacts:/1/models/m-1/artifacts", "r1", "m-1"), "models:/m-1");
        assert_eq!(of("s3://bucket/elsewhere", "r1", ""), "s3://bucket/elsewhere");
    }
}
