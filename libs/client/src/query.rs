use serde_json::{Value, json};

use crate::Fault;

/// Most items that one page may have, whatever the list.
const PAGE_MAX: usize = 1000;

/// Which items of a list are wanted, in which order, and how many: built up step by step.
///
/// ```
/// # fn main() -> Result<(), cairn_client::Fault> {
/// use cairn_client::Query;
///
/// let query = Query::new()
///     .with_filter("state", "running")
///     .with_filter("params.depth", "5")
///     .with_expression("metrics.auc > 0.9")
///     .with_order("metrics.auc DESC")
///     .with_limit(100)
///     .build()?;
/// assert_eq!(query.filter(), "state = 'RUNNING' AND params.depth = '5' AND metrics.auc > 0.9");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Query {
    terms: Vec<Result<String, String>>,
    order: Vec<String>,
    limit: Option<usize>,
}

/// A query that can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    filter: String,
    order: Vec<String>,
    limit: Option<usize>,
}

impl Query {
    /// Everything, in the list's own order.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only items whose `key` is exactly `value`: an attribute (`state`, `run_name`), or what was logged under a name
    /// (`params.depth`, `tags.team`). Keys and values are quoted as needed. Several filters must all hold.
    pub fn with_filter(mut self, key: &str, value: &str) -> Self {
        self.terms.push(equals(key, value));
        self
    }

    /// Only items for which this holds, in the filter language: `metrics.auc > 0.9`. Taken as it is: never put text from
    /// elsewhere into it.
    pub fn with_expression(mut self, expression: impl Into<String>) -> Self {
        self.terms.push(Ok(expression.into()));
        self
    }

    /// In this order: `start_time`, `metrics.auc DESC`. Later ones decide between equals.
    pub fn with_order(mut self, term: impl Into<String>) -> Self {
        self.order.push(term.into());
        self
    }

    /// At most so many items, over as many pages as it takes.
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The finished query; or why a key or value cannot be written in the filter language.
    pub fn build(self) -> Result<Selection, Fault> {
        let terms = self.terms.into_iter().collect::<Result<Vec<_>, _>>().map_err(Fault::Invalid)?;
        Ok(Selection { filter: terms.join(" AND "), order: self.order, limit: self.limit })
    }
}

impl Selection {
    /// In the filter language; empty: everything.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// At most so many.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    /// Puts it into the fields of a list's request. `has` says whether the request has a field, and whether that is a
    /// list.
    pub(crate) fn fill(&self, request: &mut Value, has: impl Fn(&str) -> Option<bool>) -> Result<(), Fault> {
        let cannot = |what: &str| Fault::Invalid(format!("this list cannot be {what}"));
        if !self.filter.is_empty() {
            has("filter").ok_or_else(|| cannot("filtered"))?;
            request["filter"] = json!(self.filter);
        }
        if !self.order.is_empty() {
            let is_list = has("order_by").ok_or_else(|| cannot("ordered"))?;
            request["order_by"] = if is_list { json!(self.order) } else { json!(self.order.join(", ")) };
        }
        Ok(())
    }

    /// How many to ask for at once when so many have been seen.
    pub(crate) fn page_size(&self, seen: usize) -> usize {
        self.limit().saturating_sub(seen).min(PAGE_MAX)
    }
}

/// States are written in capitals, whatever a person types.
fn equals(key: &str, value: &str) -> Result<String, String> {
    let value = if matches!(key, "state" | "status") { value.to_uppercase() } else { value.to_owned() };
    let name = match key.split_once('.') {
        Some((entity, name)) if is_plain(entity) => format!("{entity}.{}", quoted(name, ['`', '"'], is_plain(name))?),
        _ => quoted(key, ['`', '"'], is_plain(key))?,
    };
    Ok(format!("{name} = {}", quoted(&value, ['\'', '"'], false)?))
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The language has no escapes: a text with one sort of quote is written in the other.
fn quoted(text: &str, quotes: [char; 2], is_plain: bool) -> Result<String, String> {
    if is_plain {
        return Ok(text.to_owned());
    }
    let quote = quotes.into_iter().find(|quote| !text.contains(*quote));
    let quote = quote.ok_or_else(|| format!("{text:?} has both sorts of quotes: no filter can name it"))?;
    Ok(format!("{quote}{text}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(key: &str, value: &str) -> Result<String, String> {
        Query::new().with_filter(key, value).build().map(|query| query.filter).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_is_not_plain_is_quoted_so_that_no_text_becomes_a_condition() {
        assert_eq!(filter("state", "running").unwrap(), "state = 'RUNNING'");
        assert_eq!(filter("params.learning rate", "0.1").unwrap(), "params.`learning rate` = '0.1'");
        assert_eq!(filter("tags.mlflow.user", "ada").unwrap(), "tags.`mlflow.user` = 'ada'");
        assert_eq!(filter("run_name", "x' OR '1").unwrap(), "run_name = \"x' OR '1\"");
        assert!(filter("run_name", "'\"").unwrap_err().contains("both sorts of quotes"));
    }

    #[test]
    fn a_query_fills_the_fields_that_the_list_has() {
        let query = Query::new().with_expression("a > 1").with_order("a DESC").with_order("b").with_limit(1500);
        let query = query.build().unwrap();
        let filled = |order: Option<bool>| {
            let mut request = json!({});
            query.fill(&mut request, |field| if field == "order_by" { order } else { Some(false) }).map(|()| request)
        };
        assert_eq!(filled(Some(true)).unwrap(), json!({"filter": "a > 1", "order_by": ["a DESC", "b"]}));
        assert_eq!(filled(Some(false)).unwrap(), json!({"filter": "a > 1", "order_by": "a DESC, b"}));
        assert!(filled(None).is_err(), "an order that would be ignored is refused");
        assert_eq!([0, 600, 1400, 1500].map(|seen| query.page_size(seen)), [1000, 900, 100, 0]);
    }
}
