//! Where runs and logged models keep their files, heard from experiments.

use cairn_contract::cairn::experiments::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Recorded};
use cairn_kernel::Name;
use cairn_projection::ProjectionFault;
use prost::Message;
use rusqlite::{Connection, params};

pub(super) const RUN_CREATED: &str = "cairn.experiments.events.v1.RunCreated";
pub(super) const LOGGED_MODEL_CREATED: &str = "cairn.experiments.events.v1.LoggedModelCreated";

pub(super) fn apply(tx: &Connection, recorded: &Recorded) -> Result<(), ProjectionFault> {
    let malformed = |problem: String| DecodeFault::Malformed { kind: recorded.kind.to_string(), message: problem };
    let payload = &*recorded.payload;
    match &*recorded.kind {
        RUN_CREATED => {
            let message = proto::RunCreated::decode(payload).map_err(|fault| malformed(fault.to_string()))?;
            let [project, experiment, run] = ids(&message.run, "projects/*/experiments/*/runs/*").map_err(malformed)?;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO source_run (project, run, experiment, location) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![project, run, experiment, message.artifact_location])?;
        }
        LOGGED_MODEL_CREATED => {
            let message = proto::LoggedModelCreated::decode(payload).map_err(|fault| malformed(fault.to_string()))?;
            let [project, experiment, model] =
                ids(&message.model, "projects/*/experiments/*/loggedModels/*").map_err(malformed)?;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO source_model (project, model, experiment, run, location)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                project,
                model,
                experiment,
                message.source_run,
                message.artifact_location
            ])?;
        }
        _ => {}
    }
    Ok(())
}

fn ids(text: &str, pattern: &str) -> Result<[String; 3], String> {
    let name: Name = text.parse().map_err(|fault: cairn_kernel::NameFault| fault.to_string())?;
    let ids: Option<Vec<String>> = name.matches(pattern).map(|ids| ids.into_iter().map(str::to_owned).collect());
    ids.and_then(|ids| ids.try_into().ok()).ok_or_else(|| format!("{text:?} is no {pattern}"))
}

#[cfg(test)]
mod tests {
    use prost::Name;

    use super::*;

    #[test]
    fn kinds_are_the_full_names_of_their_messages() {
        assert_eq!(RUN_CREATED, proto::RunCreated::full_name());
        assert_eq!(LOGGED_MODEL_CREATED, proto::LoggedModelCreated::full_name());
    }
}
