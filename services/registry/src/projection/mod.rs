//! Writes the read models of this service, all in one file and one transaction.

mod models;
mod promotions;
mod sources;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::Aggregate;
use cairn_projection::{Copied, Projection, ProjectionFault};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::model::entry::tag;
use crate::model::{DefaultPolicy, Model, ModelName, Version};

/// Models, versions, promotions and policies, and the runs and logged models that versions come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Views;

/// Streams of experiments that tell where files are.
const RUNS: &str = "experiments.run";
const LOGGED_MODELS: &str = "experiments.logged_model";

impl Projection for Views {
    const NAME: &'static str = "registry.v1";
    const PAST: Option<&'static str> = Some("registry.v1.past");
    const SCHEMA: &'static str = include_str!("schema.sql");
    const COPIED: Option<Copied> = Some(Copied { readable: include_str!("readable.sql"), ..Copied::WHOLE });
    const READER_INDEXES: &'static [&'static str] = &[
        "model_by_display_name",
        "model_by_create",
        "model_by_update",
        "model_tag_by_value",
        "version_by_update",
        "version_by_model_update",
        "version_by_stage",
        "version_by_stage_update",
        "version_by_run",
        "version_tag_by_value",
        "alias_by_version",
        "promotion_by_age",
        "promotion_by_state",
    ];

    /// Of experiments only what begins a run or a logged model: what they log is not heard here.
    fn filter(&self) -> Filter {
        let categories =
            [Model::CATEGORY, Version::CATEGORY, DefaultPolicy::CATEGORY, RUNS, LOGGED_MODELS].map(str::to_owned);
        let kinds = ["cairn.registry.events.v1.*", sources::RUN_CREATED, sources::LOGGED_MODEL_CREATED];
        Filter { categories: categories.into(), kinds: kinds.map(str::to_owned).into() }
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for recorded in events {
            match recorded.stream.category() {
                Model::CATEGORY => {
                    let event = Model::decode(&recorded.kind, &recorded.payload)?;
                    models::apply(tx, recorded, &event)?;
                    promotions::apply(tx, recorded, &event)?;
                }
                Version::CATEGORY => {
                    let event = Version::decode(&recorded.kind, &recorded.payload)?;
                    versions::apply(tx, recorded, &event)?;
                }
                DefaultPolicy::CATEGORY => {
                    let event = DefaultPolicy::decode(&recorded.kind, &recorded.payload)?;
                    promotions::remember_policy(tx, recorded, event.project.project(), "")?;
                }
                _ => sources::apply(tx, recorded)?,
            }
        }
        Ok(())
    }
}

/// The row of a model. `None`: its creation was set aside as unreadable, so nothing of it is shown.
fn row(tx: &Connection, name: &ModelName) -> rusqlite::Result<Option<i64>> {
    tx.prepare_cached("SELECT id FROM model WHERE project = ?1 AND model = ?2")?
        .query_row(params![name.project(), name.model()], |row| row.get(0))
        .optional()
}

/// The stream revision an event left its resource at: its etag.
fn revision(recorded: &Recorded) -> i64 {
    recorded.revision.0 as i64
}

/// Whether tags say that it is a prompt; `None`: they say nothing of it.
fn is_prompt(tags: &BTreeMap<String, String>) -> Option<bool> {
    tags.get(tag::IS_PROMPT).map(|value| value.eq_ignore_ascii_case("true"))
}
