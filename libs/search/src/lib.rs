//! Searches as MLflow's clients write them: `metrics.auc > 0.9 AND params.depth = '5'`, an order, and pages.
//!
//! Text becomes tokens, tokens become comparisons. A service makes of those conditions on its own fields, and of the
//! conditions SQL in which every word of the caller is a bound parameter. Knows no field and no table of anybody.

mod condition;
mod fault;
mod lexer;
mod order;
mod page;
mod parser;
#[cfg(test)]
mod spec;
mod sql;
mod term;

pub use condition::{Compare, Text};
pub use fault::SearchFault;
pub use order::{Ordered, order};
pub use page::{Column, after, fingerprint, marks, order_by, token};
pub use parser::{Comparison, Identifier, Operator, Value, parse};
pub use sql::{Sql, glob};
pub use term::{Term, parse_terms};

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 16 << 10;
/// Most comparisons in one filter.
pub const COMPARISONS_MAX: usize = 100;
/// Most parentheses and NOTs in each other.
pub const NESTING_MAX: usize = 16;
/// Most terms of one order.
pub const ORDER_TERMS_MAX: usize = 10;
