//! Copies of views in a genuine PostgreSQL.

mod cost;
mod equality;
mod fill;
mod random;
mod shapes;
mod takeover;
mod trouble;
