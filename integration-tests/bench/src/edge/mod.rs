//! The gateway: what it adds to a call, what it makes of plain proxying beside nginx, and whether one project's noise is
//! heard in another. Processor time per call, since the machine may be busy with other things.

mod cpu;
mod fairness;
mod overhead;
mod proxying;
mod relay;
mod stub;
mod suite;

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Calls of each kind.
    #[arg(long, default_value_t = 20_000)]
    calls: usize,
    /// nginx, to proxy beside. Left out where there is none.
    #[arg(long, default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// h2load, which sends the requests that are proxied.
    #[arg(long, default_value = "/usr/bin/h2load")]
    h2load: PathBuf,
    /// Answers every gRPC call with the same message, as a process of its own.
    #[arg(long, hide = true)]
    stub: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { calls: 20_000, nginx: "/usr/sbin/nginx".into(), h2load: "/usr/bin/h2load".into(), stub: false }
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        if args.stub {
            return stub::serve().await;
        }
        let folder = tempfile::tempdir()?;
        overhead::measure(&folder.path().join("overhead"), args.calls).await?;
        fairness::measure(&folder.path().join("fairness")).await?;
        proxying::measure(folder.path(), args).await
    })
}
