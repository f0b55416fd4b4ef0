//! Benchmarks, each beside what one would use instead or beside the physical limit. Ratios, not seconds.

mod access;
mod append;
mod edge;
mod ingest;
mod ledger;
mod lineage;
mod machine;
mod mlflow;
mod postgres;
mod rebuild;
mod start;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Benchmarks of Cairn, each beside what one would use instead")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Decisions of access, beside looking at every binding.
    Access(access::Args),
    /// Durable appends: the event store beside bare SQLite, fjall and a plain file.
    Append(append::Args),
    /// Durable appends in PostgreSQL: the event store beside the same batches in bare SQL.
    Postgres(postgres::Args),
    /// Read models: views built from the log beside bare SQLite.
    Rebuild(rebuild::Args),
    /// Pages of the audit log and proofs over a long history, beside a bare table.
    Ledger(ledger::Args),
    /// Walks through the lineage graph, beside a recursive query of the same edges.
    Lineage(lineage::Args),
    /// The gateway: what it adds to a call, fairness between projects, and plain proxying beside nginx.
    Edge(edge::Args),
    /// Start to ready, and idle memory, beside a genuine MLflow server.
    Start(start::Args),
    /// Direct ingestion beside queued, over genuine queues.
    Ingest(ingest::Args),
    /// MLflow's REST API: Cairn beside a genuine MLflow server.
    Mlflow(mlflow::Args),
    /// MLflow's model registry API over many versions: Cairn beside a genuine MLflow server.
    Registry(mlflow::registry::Args),
    /// All of them, one after the other.
    All(mlflow::Args),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    println!("{}\n", machine::describe()?);
    match cli.command {
        Command::Access(args) => access::run(&args),
        Command::Append(args) => append::run(&args),
        Command::Postgres(args) => postgres::run(&args),
        Command::Rebuild(args) => rebuild::run(&args),
        Command::Ledger(args) => ledger::run(&args),
        Command::Lineage(args) => lineage::run(&args),
        Command::Edge(args) => edge::run(&args),
        Command::Start(args) => start::run(&args),
        Command::Ingest(args) => ingest::run(&args),
        Command::Mlflow(args) => mlflow::run(args),
        Command::Registry(args) => mlflow::registry::run(&args),
        Command::All(args) => {
            access::run(&access::Args::default())?;
            append::run(&append::Args::default())?;
            postgres::run(&postgres::Args::default())?;
            rebuild::run(&rebuild::Args::default())?;
            ledger::run(&ledger::Args::default())?;
            lineage::run(&lineage::Args::default())?;
            edge::run(&edge::Args::default())?;
            start::run(&start::Args { python: args.python.clone(), cairn: args.cairn.clone() })?;
            ingest::run(&ingest::Args { cairn: args.cairn.clone(), seconds: 5 })?;
            mlflow::registry::run(&mlflow::registry::Args::of(&args.python, &args.cairn))?;
            mlflow::run(args)
        }
    }
}
