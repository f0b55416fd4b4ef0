use cairn_search::{Compare, Comparison, Identifier, Ordered, SearchFault, Text, order, parse};

/// What is asked of a logged model.
#[derive(Clone, Debug, PartialEq)]
pub enum LoggedModelCondition {
    Text {
        column: LoggedModelOrder,
        text: Text,
    },
    /// Milliseconds since 1970.
    Time {
        column: LoggedModelOrder,
        compare: Compare,
        value: f64,
    },
    Metric {
        key: String,
        compare: Compare,
        value: f64,
    },
    Param {
        key: String,
        text: Text,
    },
    Tag {
        key: String,
        text: Text,
    },
}

/// What logged models are sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedModelOrder {
    Id,
    DisplayName,
    ModelType,
    Status,
    SourceRun,
    CreateTime,
    UpdateTime,
    Metric(String),
}

/// Reads a filter over logged models.
pub fn logged_model_filter(text: &str) -> Result<Vec<LoggedModelCondition>, SearchFault> {
    parse(text)?.iter().map(condition).collect()
}

/// Reads an order of logged models.
pub fn logged_model_order(terms: &[String]) -> Result<Vec<Ordered<LoggedModelOrder>>, SearchFault> {
    order(terms, |identifier| match entity(identifier).as_str() {
        "metric" | "metrics" => Ok(LoggedModelOrder::Metric(identifier.key.clone())),
        _ => attribute(identifier),
    })
}

fn condition(comparison: &Comparison) -> Result<LoggedModelCondition, SearchFault> {
    let key = comparison.left.key.clone();
    match entity(&comparison.left).as_str() {
        "metric" | "metrics" => {
            let (compare, value) = comparison.number()?;
            return Ok(LoggedModelCondition::Metric { key, compare, value });
        }
        "param" | "params" | "parameter" | "parameters" => {
            return Ok(LoggedModelCondition::Param { key, text: comparison.pair()? });
        }
        "tag" | "tags" => return Ok(LoggedModelCondition::Tag { key, text: comparison.pair()? }),
        _ => {}
    }
    let column = attribute(&comparison.left).map_err(|message| comparison.fault(message))?;
    match column {
        LoggedModelOrder::CreateTime | LoggedModelOrder::UpdateTime => {
            let (compare, value) = comparison.number()?;
            Ok(LoggedModelCondition::Time { column, compare, value })
        }
        column => Ok(LoggedModelCondition::Text { column, text: comparison.text(true)? }),
    }
}

fn entity(identifier: &Identifier) -> String {
    identifier.entity.as_deref().unwrap_or("attribute").to_ascii_lowercase()
}

fn attribute(identifier: &Identifier) -> Result<LoggedModelOrder, String> {
    let entity = entity(identifier);
    if !matches!(entity.as_str(), "attribute" | "attributes" | "attr" | "model" | "models") {
        return Err(format!("{entity:?} is none of metrics, params, tags and attributes"));
    }
    match identifier.key.as_str() {
        "model_id" => Ok(LoggedModelOrder::Id),
        "name" | "display_name" => Ok(LoggedModelOrder::DisplayName),
        "model_type" => Ok(LoggedModelOrder::ModelType),
        "status" | "state" => Ok(LoggedModelOrder::Status),
        "source_run_id" | "source_run" => Ok(LoggedModelOrder::SourceRun),
        "creation_timestamp" | "creation_time" | "create_time" => Ok(LoggedModelOrder::CreateTime),
        "last_updated_timestamp" | "last_update_time" | "update_time" => Ok(LoggedModelOrder::UpdateTime),
        key => Err(format!(
            "{key:?} is no attribute of logged models: those are model_id, name, model_type, status, source_run_id, \
             creation_timestamp and last_updated_timestamp"
        )),
    }
}
