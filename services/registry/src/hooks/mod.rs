//! What hooks need beside the rules: expressions, addresses and secrets, requests, and the book of what was delivered.

mod book;
mod config;
mod deliver;
mod expression;
mod happening;
mod kept;
mod payload;
mod plan;
mod run;
mod sign;
mod tools;

pub use book::{BookFault, Delivery, DeliveryPage, State};
pub use config::Config;
pub(crate) use expression::check;
pub(crate) use happening::{Happening, ModelView, Scene, VersionView};
pub(crate) use payload::{example, question, trial};
pub(crate) use run::overlaid;
use tools::Tools;
pub(crate) use tools::Verdict;
pub use tools::{ToolsFault, Working, open};
