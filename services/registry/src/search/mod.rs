//! What may be asked of models and versions in the filter language.

mod models;
mod versions;

pub use cairn_search::{Compare, Ordered, SearchFault, Term, Text};
use cairn_search::{Comparison, Identifier, parse_terms};
pub use models::{ModelCondition, ModelOrder, model_filter, model_order};
pub use versions::{TextColumn, VersionCondition, VersionOrder, version_filter, version_order};

use crate::model::entry::tag;

/// What MLflow's clients keep here without its being a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// Left out: nobody asked for them.
    Hidden,
    /// Shown where the filter lets them.
    Shown,
}

fn entity(identifier: &Identifier) -> String {
    identifier.entity.as_deref().unwrap_or("attribute").to_ascii_lowercase()
}

fn is_tag(identifier: &Identifier) -> bool {
    matches!(entity(identifier).as_str(), "tag" | "tags")
}

fn attributes(identifier: &Identifier) -> Result<(), String> {
    let entity = entity(identifier);
    match entity.as_str() {
        "attribute" | "attributes" | "attr" => Ok(()),
        _ => Err(format!("{entity:?} is none of tags and attributes")),
    }
}

/// What a comparison says of prompts, if it is about them: that it wants them, or anything else, which hides them.
fn prompts(comparison: &Comparison) -> Result<Option<Prompts>, SearchFault> {
    if !is_tag(&comparison.left) || comparison.left.key != tag::IS_PROMPT {
        return Ok(None);
    }
    let wants = match comparison.pair()? {
        Text::Eq(value) => value.eq_ignore_ascii_case("true"),
        Text::Ne(value) => value.eq_ignore_ascii_case("false"),
        _ => false,
    };
    Ok(Some(if wants { Prompts::Shown } else { Prompts::Hidden }))
}

/// Reads a filter, and whether it asks for prompts: whoever says that they want none asks for nothing that a model would
/// have to have.
fn filter<C>(
    text: &str,
    condition: impl Fn(&Comparison) -> Result<C, SearchFault>,
) -> Result<(Vec<Term<C>>, Prompts), SearchFault> {
    let (mut terms, mut shown) = (vec![], Prompts::Hidden);
    for term in parse_terms(text)? {
        if let Term::Is(comparison) = &term
            && prompts(comparison)? == Some(Prompts::Hidden)
        {
            continue;
        }
        terms.push(term.map(&mut |comparison| {
            if prompts(&comparison)? == Some(Prompts::Shown) {
                shown = Prompts::Shown;
            }
            condition(&comparison)
        })?);
    }
    Ok((terms, shown))
}
