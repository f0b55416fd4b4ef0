use cairn_search::{Comparison, Identifier, Term, order};

use super::{Compare, Ordered, Prompts, SearchFault, Text, attributes, filter, is_tag};
use crate::model::Stage;

/// What is asked of a version.
#[derive(Clone, Debug, PartialEq)]
pub enum VersionCondition {
    Text {
        column: TextColumn,
        text: Text,
    },
    Number {
        compare: Compare,
        value: f64,
    },
    /// Milliseconds since 1970.
    Time {
        column: VersionOrder,
        compare: Compare,
        value: f64,
    },
    Tag {
        key: String,
        text: Text,
    },
}

/// A text of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextColumn {
    /// The display name of its model.
    Model,
    Run,
    Source,
    Stage,
    Framework,
}

/// What versions are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionOrder {
    Model,
    Number,
    CreateTime,
    UpdateTime,
}

enum Field {
    Text(TextColumn),
    Number,
    Time(VersionOrder),
}

/// Reads a filter over versions, and whether it asks for those of prompts.
pub fn version_filter(text: &str) -> Result<(Vec<Term<VersionCondition>>, Prompts), SearchFault> {
    filter(text, condition)
}

/// Reads an order of versions.
pub fn version_order(terms: &[String]) -> Result<Vec<Ordered<VersionOrder>>, SearchFault> {
    order(terms, |identifier| match field(identifier)? {
        Field::Text(TextColumn::Model) => Ok(VersionOrder::Model),
        Field::Number => Ok(VersionOrder::Number),
        Field::Time(order) => Ok(order),
        Field::Text(_) => {
            Err("versions are sorted by name, version_number, creation_timestamp and last_updated_timestamp".to_owned())
        }
    })
}

fn condition(comparison: &Comparison) -> Result<VersionCondition, SearchFault> {
    if is_tag(&comparison.left) {
        return Ok(VersionCondition::Tag { key: comparison.left.key.clone(), text: comparison.pair()? });
    }
    match field(&comparison.left).map_err(|message| comparison.fault(message))? {
        Field::Text(column) => {
            let takes_lists = matches!(column, TextColumn::Model | TextColumn::Run | TextColumn::Stage);
            let text = comparison.text(takes_lists)?;
            Ok(VersionCondition::Text {
                column,
                text: if column == TextColumn::Stage { canonical(text) } else { text },
            })
        }
        Field::Number => {
            let (compare, value) = comparison.number()?;
            Ok(VersionCondition::Number { compare, value })
        }
        Field::Time(column) => {
            let (compare, value) = comparison.number()?;
            Ok(VersionCondition::Time { column, compare, value })
        }
    }
}

/// Stages are asked for in whatever case.
fn canonical(text: Text) -> Text {
    let spelled = |text: String| text.parse::<Stage>().map_or(text, |stage| stage.as_str().to_owned());
    match text {
        Text::Eq(text) => Text::Eq(spelled(text)),
        Text::Ne(text) => Text::Ne(spelled(text)),
        Text::In(texts) => Text::In(texts.into_iter().map(spelled).collect()),
        Text::NotIn(texts) => Text::NotIn(texts.into_iter().map(spelled).collect()),
        other => other,
    }
}

fn field(identifier: &Identifier) -> Result<Field, String> {
    attributes(identifier)?;
    match identifier.key.as_str() {
        "name" | "display_name" => Ok(Field::Text(TextColumn::Model)),
        "run_id" | "source_run" => Ok(Field::Text(TextColumn::Run)),
        "source_path" | "source_uri" => Ok(Field::Text(TextColumn::Source)),
        "stage" | "current_stage" => Ok(Field::Text(TextColumn::Stage)),
        "framework" => Ok(Field::Text(TextColumn::Framework)),
        "version_number" | "version" => Ok(Field::Number),
        "creation_timestamp" | "creation_time" | "create_time" => Ok(Field::Time(VersionOrder::CreateTime)),
        "last_updated_timestamp" | "last_update_time" | "update_time" => Ok(Field::Time(VersionOrder::UpdateTime)),
        key => Err(format!(
            "{key:?} is no attribute of versions: those are name, version_number, run_id, source_path, stage, framework, \
             creation_timestamp and last_updated_timestamp"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_asked_by_name_number_run_source_stage_and_tags() {
        let (read, _) = version_filter("name = 'm' AND version_number > 2 AND stage = 'production'").unwrap();
        let text = Text::Eq("Production".into());
        assert_eq!(read[2], Term::Is(VersionCondition::Text { column: TextColumn::Stage, text }));
        assert!(version_filter("run_id IN ('a') AND source_path LIKE 's3%' AND tags.team = 'risk'").is_ok());
        assert!(version_filter("source_path IN ('a')").is_err());
        assert!(version_order(&["name".to_owned(), "version_number DESC".to_owned()]).is_ok());
        assert!(version_order(&["run_id".to_owned()]).is_err());
    }
}
