use cairn_search::{Comparison, Identifier, Term, order};

use super::{Compare, Ordered, Prompts, SearchFault, Text, attributes, filter, is_tag};

/// What is asked of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelCondition {
    DisplayName(Text),
    /// Milliseconds since 1970.
    Time {
        column: ModelOrder,
        compare: Compare,
        value: f64,
    },
    Tag {
        key: String,
        text: Text,
    },
}

/// What models are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelOrder {
    DisplayName,
    CreateTime,
    UpdateTime,
}

/// Reads a filter over models, and whether it asks for prompts.
pub fn model_filter(text: &str) -> Result<(Vec<Term<ModelCondition>>, Prompts), SearchFault> {
    filter(text, condition)
}

/// Reads an order of models.
pub fn model_order(terms: &[String]) -> Result<Vec<Ordered<ModelOrder>>, SearchFault> {
    order(terms, attribute)
}

fn condition(comparison: &Comparison) -> Result<ModelCondition, SearchFault> {
    if is_tag(&comparison.left) {
        return Ok(ModelCondition::Tag { key: comparison.left.key.clone(), text: comparison.pair()? });
    }
    match attribute(&comparison.left).map_err(|message| comparison.fault(message))? {
        ModelOrder::DisplayName => Ok(ModelCondition::DisplayName(comparison.text(true)?)),
        column => {
            let (compare, value) = comparison.number()?;
            Ok(ModelCondition::Time { column, compare, value })
        }
    }
}

fn attribute(identifier: &Identifier) -> Result<ModelOrder, String> {
    attributes(identifier)?;
    match identifier.key.as_str() {
        "name" | "display_name" => Ok(ModelOrder::DisplayName),
        "creation_timestamp" | "creation_time" | "create_time" => Ok(ModelOrder::CreateTime),
        "last_updated_timestamp" | "last_update_time" | "update_time" | "timestamp" => Ok(ModelOrder::UpdateTime),
        key => Err(format!(
            "{key:?} is no attribute of models: those are name, creation_timestamp and last_updated_timestamp"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_shown_only_to_who_asks_for_them() {
        let shown = |text: &str| model_filter(text).unwrap().1;
        for text in ["tags.`mlflow.prompt.is_prompt` = 'true'", "tag.`mlflow.prompt.is_prompt` != 'false'"] {
            assert_eq!(shown(text), Prompts::Shown, "{text}");
        }
        for text in
            ["", "name = 'a'", "tags.`mlflow.prompt.is_prompt` = 'false'", "tags.`mlflow.prompt.is_prompt` != 'true'"]
        {
            assert_eq!(shown(text), Prompts::Hidden, "{text}");
        }
        // Who says that they want none asks for nothing that a model would have to have.
        assert_eq!(model_filter("tags.`mlflow.prompt.is_prompt` != 'true'").unwrap().0, []);
    }

    #[test]
    fn models_are_asked_by_name_times_and_tags() {
        assert!(model_filter("name ILIKE 'fraud%' AND tags.team = 'risk' AND creation_timestamp > 5").is_ok());
        assert!(model_filter("name IN ('a', 'b')").is_ok());
        assert!(model_filter("colour = 'x'").is_err());
        assert!(model_filter("metrics.a > 1").is_err());
        assert!(model_order(&["name".to_owned(), "last_updated_timestamp DESC".to_owned()]).is_ok());
    }
}
