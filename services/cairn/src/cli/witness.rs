//! `cairn witness`: vouches that logs are only ever added to, until it is asked to stop.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::Context;
use cairn_service::shutdown::Shutdown;
use cairn_tlog::KeyName;
use serde_json::json;
use tokio::net::TcpListener;

use super::output::{Output, line};
use super::verify;
use crate::witness::{Witness, open_key, serve};

#[derive(Debug, clap::Args)]
pub struct Command {
    /// Names the witness in its signatures, like an address without its scheme: `witness.example`.
    #[arg(long)]
    name: KeyName,
    /// A key of a log to vouch for, or a file of such keys, one on each line (`cairn audit checkpoint --keys`).
    #[arg(long = "log", value_name = "KEY|FILE", required = true)]
    logs: Vec<String>,
    /// Where its key and what it remembers are kept. Made if there is none. Whoever loses it can be lied to once more.
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:3900")]
    listen: SocketAddr,
}

pub async fn run(output: Output, command: Command) -> anyhow::Result<()> {
    let logs = verify::keys("--log", &command.logs)?;
    let folder = &command.data;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    let key = open_key(&folder.join("witness.key"), &command.name)?;
    let witness = Witness::open(&folder.join("witness.db"), key, logs);
    let witness = witness.with_context(|| format!("cannot use what was remembered in {}", folder.display()))?;
    let shutdown = Shutdown::on_signals()?;
    let listener =
        TcpListener::bind(command.listen).await.with_context(|| format!("cannot listen on {}", command.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    let key = witness.key().to_string();
    let sentence = format!(
        "The witness listens on {url}.\n\nA log asks it to vouch with this setting of its `cairn.toml`:\n\n  [ledger]\n  \
         witnesses = [\"{url} {key}\"]\n\nCtrl-C stops it."
    );
    match output.is_json {
        true => line(&json!({"url": url, "key": key}).to_string())?,
        false => line(&sentence)?,
    }
    let stop = async move { shutdown.begun().await };
    Ok(serve(witness, listener, stop).await?)
}
