//! The Rust SDK: typed calls through the gateway, over HTTP and JSON, routed by the contract.
//!
//! Knows no service: a call names its RPC, and the descriptors say which verb, path and body it has. What a gateway of
//! the same or a later version understands, this client can say.
//!
//! ```no_run
//! use cairn_client::{Client, Query};
//! use cairn_contract::cairn::experiments::v1::{CreateExperimentRequest, Experiment, Run};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:3001", Some(std::env::var("CAIRN_API_KEY")?))?;
//!
//! // A call: the message that the contract has for it, and the one it answers with.
//! let request = CreateExperimentRequest {
//!     parent: "projects/default".into(),
//!     display_name: "ranking".into(),
//!     ..Default::default()
//! };
//! let made: Experiment = client.call("/cairn.experiments.v1.ExperimentService/CreateExperiment", &request).await?;
//!
//! // A list: what is wanted, over as many pages as it takes.
//! let running = Query::new().with_filter("state", "running").with_limit(100).build()?;
//! let runs: Vec<Run> = client.list("/cairn.experiments.v1.RunService/ListRuns", &made.name, &running).await?;
//!
//! // A refusal says why, by a reason that does not change.
//! match client.call::<_, Experiment>("/cairn.experiments.v1.ExperimentService/CreateExperiment", &request).await {
//!     Err(fault) if fault.reason() == Some("EXPERIMENT_EXISTS") => println!("{fault}"),
//!     other => println!("{} runs, and {other:?}", runs.len()),
//! }
//! # Ok(())
//! # }
//! ```

mod call;
mod fault;
mod pages;
mod query;
mod route;
mod secrets;

pub use call::{Client, Lines, Renew};
pub use fault::Fault;
pub use pages::Pages;
pub use query::{Query, Selection};
