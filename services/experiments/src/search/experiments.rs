use cairn_search::{Compare, Identifier, Ordered, SearchFault, Text, order, parse};

/// What is asked of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub enum ExperimentCondition {
    DisplayName(Text),
    Id(Text),
    /// Milliseconds since 1970.
    CreateTime(Compare, f64),
    UpdateTime(Compare, f64),
    Tag {
        key: String,
        text: Text,
    },
}

/// What experiments are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExperimentOrder {
    DisplayName,
    Id,
    CreateTime,
    UpdateTime,
}

/// Reads a filter over experiments.
pub fn experiment_filter(text: &str) -> Result<Vec<ExperimentCondition>, SearchFault> {
    let condition = |comparison: &cairn_search::Comparison| {
        if is_tag(&comparison.left) {
            let key = comparison.left.key.clone();
            return Ok(ExperimentCondition::Tag { key, text: comparison.pair()? });
        }
        let number = || comparison.number();
        match attribute(&comparison.left).map_err(|message| comparison.fault(message))? {
            ExperimentOrder::DisplayName => Ok(ExperimentCondition::DisplayName(comparison.text(false)?)),
            ExperimentOrder::Id => Ok(ExperimentCondition::Id(comparison.text(true)?)),
            ExperimentOrder::CreateTime => number().map(|(compare, ms)| ExperimentCondition::CreateTime(compare, ms)),
            ExperimentOrder::UpdateTime => number().map(|(compare, ms)| ExperimentCondition::UpdateTime(compare, ms)),
        }
    };
    parse(text)?.iter().map(condition).collect()
}

/// Reads an order of experiments.
pub fn experiment_order(terms: &[String]) -> Result<Vec<Ordered<ExperimentOrder>>, SearchFault> {
    order(terms, attribute)
}

fn is_tag(identifier: &Identifier) -> bool {
    identifier.entity.as_deref().is_some_and(|entity| matches!(entity.to_ascii_lowercase().as_str(), "tag" | "tags"))
}

fn attribute(identifier: &Identifier) -> Result<ExperimentOrder, String> {
    let entity = identifier.entity.as_deref().unwrap_or("attribute").to_ascii_lowercase();
    if !matches!(entity.as_str(), "attribute" | "attributes" | "attr" | "experiment") {
        return Err(format!("{entity:?} is none of tags and attributes"));
    }
    match identifier.key.as_str() {
        "name" | "display_name" => Ok(ExperimentOrder::DisplayName),
        "experiment_id" => Ok(ExperimentOrder::Id),
        "creation_time" | "create_time" => Ok(ExperimentOrder::CreateTime),
        "last_update_time" | "update_time" => Ok(ExperimentOrder::UpdateTime),
        key => Err(format!(
            "{key:?} is no attribute of experiments: those are name, experiment_id, creation_time and last_update_time"
        )),
    }
}
