use cairn_search::{Compare, Comparison, Identifier, Operator, Ordered, SearchFault, Text, order, parse};

/// What is asked of a run. It matches when all its conditions do.
#[derive(Clone, Debug, PartialEq)]
pub enum RunCondition {
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
    Text {
        column: TextColumn,
        text: Text,
    },
    /// Milliseconds since 1970.
    Time {
        column: TimeColumn,
        compare: Compare,
        value: f64,
    },
    Dataset {
        column: DatasetColumn,
        text: Text,
    },
}

/// What runs are sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOrder {
    Metric(String),
    Param(String),
    Tag(String),
    Text(TextColumn),
    Time(TimeColumn),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextColumn {
    RunId,
    RunName,
    Status,
    UserId,
    ArtifactUri,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeColumn {
    Start,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetColumn {
    Name,
    Digest,
    Context,
}

enum Field {
    Metric,
    Param,
    Tag,
    Text(TextColumn),
    Time(TimeColumn),
    Dataset(DatasetColumn),
}

/// Reads a filter over runs.
pub fn run_filter(text: &str) -> Result<Vec<RunCondition>, SearchFault> {
    parse(text)?.iter().map(condition).collect()
}

/// Reads an order of runs.
pub fn run_order(terms: &[String]) -> Result<Vec<Ordered<RunOrder>>, SearchFault> {
    order(terms, |identifier| {
        let key = identifier.key.clone();
        match field(identifier)? {
            Field::Metric => Ok(RunOrder::Metric(key)),
            Field::Param => Ok(RunOrder::Param(key)),
            Field::Tag => Ok(RunOrder::Tag(key)),
            Field::Text(column) => Ok(RunOrder::Text(column)),
            Field::Time(column) => Ok(RunOrder::Time(column)),
            Field::Dataset(_) => Err("runs cannot be sorted by data sets".to_owned()),
        }
    })
}

fn condition(comparison: &Comparison) -> Result<RunCondition, SearchFault> {
    let key = comparison.left.key.clone();
    match field(&comparison.left).map_err(|message| comparison.fault(message))? {
        Field::Metric => {
            let (compare, value) = comparison.number()?;
            Ok(RunCondition::Metric { key, compare, value })
        }
        Field::Param => Ok(RunCondition::Param { key, text: comparison.pair()? }),
        Field::Tag => Ok(RunCondition::Tag { key, text: comparison.pair()? }),
        Field::Text(column) => {
            let is_list = matches!(comparison.operator, Operator::In | Operator::NotIn);
            if is_list && column != TextColumn::RunId {
                return Err(comparison.fault("only run_id and data sets are compared with IN"));
            }
            Ok(RunCondition::Text { column, text: comparison.text(column == TextColumn::RunId)? })
        }
        Field::Time(column) => {
            let (compare, value) = comparison.number()?;
            Ok(RunCondition::Time { column, compare, value })
        }
        Field::Dataset(column) => Ok(RunCondition::Dataset { column, text: comparison.text(true)? }),
    }
}

fn field(identifier: &Identifier) -> Result<Field, String> {
    let Some(entity) = &identifier.entity else { return attribute(&identifier.key) };
    match entity.to_ascii_lowercase().as_str() {
        "metric" | "metrics" => Ok(Field::Metric),
        "param" | "params" | "parameter" | "parameters" => Ok(Field::Param),
        "tag" | "tags" => Ok(Field::Tag),
        "attribute" | "attributes" | "attr" | "run" => attribute(&identifier.key),
        "dataset" | "datasets" => match identifier.key.as_str() {
            "name" => Ok(Field::Dataset(DatasetColumn::Name)),
            "digest" => Ok(Field::Dataset(DatasetColumn::Digest)),
            "context" => Ok(Field::Dataset(DatasetColumn::Context)),
            key => Err(format!("data sets have name, digest and context, not {key:?}")),
        },
        _ => Err(format!("{entity:?} is none of metrics, params, tags, attributes and datasets")),
    }
}

fn attribute(key: &str) -> Result<Field, String> {
    match key {
        "run_id" => Ok(Field::Text(TextColumn::RunId)),
        "run_name" | "Run name" | "run name" | "Run Name" => Ok(Field::Text(TextColumn::RunName)),
        "status" | "state" => Ok(Field::Text(TextColumn::Status)),
        "user_id" | "user" => Ok(Field::Text(TextColumn::UserId)),
        "artifact_uri" => Ok(Field::Text(TextColumn::ArtifactUri)),
        "start_time" | "created" | "Created" => Ok(Field::Time(TimeColumn::Start)),
        "end_time" => Ok(Field::Time(TimeColumn::End)),
        _ => Err(format!(
            "{key:?} is no attribute of runs: those are run_id, run_name, status, user_id, artifact_uri, start_time \
             and end_time"
        )),
    }
}
