use crate::parser::{Identifier, parse_order};
use crate::{ORDER_TERMS_MAX, SearchFault};

/// A key to sort by, and which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered<K> {
    pub key: K,
    pub is_descending: bool,
}

/// Reads the terms of an order. A field twice is refused.
pub fn order<K: PartialEq>(
    terms: &[String],
    resolve: impl Fn(&Identifier) -> Result<K, String>,
) -> Result<Vec<Ordered<K>>, SearchFault> {
    let mut ordered: Vec<Ordered<K>> = vec![];
    for term in terms {
        let fault = |message: String| SearchFault::Order { term: term.chars().take(200).collect(), message };
        if ordered.len() == ORDER_TERMS_MAX {
            return Err(fault(format!("more than {ORDER_TERMS_MAX} terms")));
        }
        let (identifier, is_descending) = parse_order(term).map_err(|refused| match refused {
            SearchFault::Filter { message, .. } => fault(message),
            other => other,
        })?;
        let key = resolve(&identifier).map_err(fault)?;
        if ordered.iter().any(|known| known.key == key) {
            return Err(fault("the field stands there twice".to_owned()));
        }
        ordered.push(Ordered { key, is_descending });
    }
    Ok(ordered)
}
