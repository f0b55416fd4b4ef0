//! `cairn artifacts`: files of a run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_objects::Digest;
use clap::Subcommand;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::exit::Missing;
use super::output::{Column, line};
use super::session::{Items, Session, given};
use super::{artifact_parts, runs};

const SERVICE: &str = "experiments.v1.ArtifactService";

const COLUMNS: &[Column] = &[
    ("PATH", "path"),
    ("BYTES", "size_bytes"),
    ("TYPE", "media_type"),
    ("SHA-256", "sha256"),
    ("CREATED", "create_time"),
];

/// What a path keeps as it is: RFC 3986's unreserved characters and slashes.
pub const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Bytes read from a file at once.
const PART_BYTES: usize = 256 * 1024;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the files of a run.
    List {
        /// Its id, or full name.
        run: String,
        /// Only below this folder.
        #[arg(long)]
        folder: Option<String>,
    },
    /// Puts a file, or everything in a folder, to a run. Large files go in parts: the same command again goes on where
    /// it was interrupted.
    Upload {
        /// Its id, or full name.
        run: String,
        /// What to send: a file, or a folder with all that is in it.
        file: PathBuf,
        /// Where it goes within the run; the file's own name if not given.
        #[arg(long)]
        to: Option<String>,
    },
    /// Gets a file of a run.
    Download {
        /// Its id, or full name.
        run: String,
        /// Where it lies within the run.
        path: String,
        /// Where it goes; the file's own name, here, if not given.
        #[arg(long)]
        to: Option<PathBuf>,
    },
    /// Prints an address from which anybody can download the file for a while.
    Url {
        /// Its id, or full name.
        run: String,
        /// Where it lies within the run.
        path: String,
        /// For how long.
        #[arg(long, value_parser = humantime::parse_duration, default_value = "15m")]
        lifetime: std::time::Duration,
    },
    /// Deletes a file of a run.
    Delete {
        /// Its id, or full name.
        run: String,
        /// Where it lies within the run.
        path: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { run, folder } => {
            let request = given(json!({"parent": runs::name(&session, &run).await?, "folder": folder}));
            let items = Items::new(COLUMNS);
            session.show(&format!("{SERVICE}/ListArtifacts"), request, items, usize::MAX).await
        }
        Command::Upload { run, file, to } => {
            let parent = runs::name(&session, &run).await?;
            let to = match to {
                Some(to) => to,
                // Not of the argument itself: that may be `.`, or end in `..`.
                None => {
                    let full = file.canonicalize().with_context(|| format!("cannot read {}", file.display()))?;
                    let name = full.file_name().and_then(OsStr::to_str);
                    name.with_context(|| format!("{} has no name to store it under: say --to", file.display()))?
                        .to_owned()
                }
            };
            let mut stored = vec![];
            for (file, path) in files(&file, &to)? {
                stored.push(upload(&session, &parent, &file, &path).await?);
            }
            session.output.list(&stored, COLUMNS)
        }
        Command::Download { run, path, to } => {
            let parent = runs::name(&session, &run).await?;
            let to = match to {
                Some(to) => to,
                None => PathBuf::from(path.rsplit('/').next().unwrap_or(&path)),
            };
            download(&session, &parent, &path, &to).await?;
            session.output.done(&format!("wrote {}", to.display()), &json!({"path": path, "file": to}))
        }
        Command::Url { run, path, lifetime } => {
            let artifact = find(&session, &run, &path).await?;
            let request = json!({"name": artifact["name"], "lifetime": format!("{}s", lifetime.as_secs())});
            let signed = session.call(&format!("{SERVICE}/SignArtifactAddress"), request).await?;
            if session.output.is_json {
                return session.output.json(&signed);
            }
            line(signed["address"].as_str().unwrap_or_default())
        }
        Command::Delete { run, path } => {
            let artifact = find(&session, &run, &path).await?;
            let gone = session.call(&format!("{SERVICE}/DeleteArtifact"), json!({"name": artifact["name"]})).await?;
            session.output.done(&format!("deleted {path}"), &gone)
        }
    }
}

/// The artifact at a path of a run.
async fn find(session: &Session, run: &str, path: &str) -> anyhow::Result<Value> {
    let folder = path.rsplit_once('/').map(|(folder, _)| folder);
    let request = given(json!({"parent": runs::name(session, run).await?, "folder": folder}));
    let found = session.list(&format!("{SERVICE}/ListArtifacts"), request, usize::MAX).await?;
    let artifact = found.into_iter().find(|artifact| artifact["path"] == path);
    artifact.ok_or_else(|| Missing(format!("run {run} has no file {path}")).into())
}

/// The files to send: one, or all below a folder, each with its path in the run.
fn files(from: &Path, to: &str) -> anyhow::Result<Vec<(PathBuf, String)>> {
    if from.is_file() {
        return Ok(vec![(from.to_owned(), to.to_owned())]);
    }
    if !from.is_dir() {
        bail!("{} is neither a file nor a folder", from.display());
    }
    let mut found = vec![];
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().with_context(|| format!("{} is not named in UTF-8", entry.path().display()))?;
            let path = format!("{prefix}/{name}");
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push((entry.path(), path)),
                kind if kind.is_file() => found.push((entry.path(), path)),
                _ => {} // A link could lead anywhere.
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Sends a file of which others may still write: what is there when it is read is stored.
async fn upload(session: &Session, parent: &str, file: &Path, path: &str) -> anyhow::Result<Value> {
    send(session, parent, file, path, None).await
}

/// Sends a file that must arrive as it is now: if it is written meanwhile, or damaged on its way, it is refused.
pub async fn upload_exactly(session: &Session, parent: &str, file: &Path, path: &str) -> anyhow::Result<Value> {
    // Large files are always sent so.
    let is_large = file.metadata().is_ok_and(|about| about.len() >= artifact_parts::SIZE_MIN);
    let digest = artifact_parts::digest(file);
    let sha256 = match is_large {
        true => None,
        false => Some(digest.await.with_context(|| format!("cannot read {}", file.display()))?),
    };
    send(session, parent, file, path, sha256).await
}

async fn send(
    session: &Session,
    parent: &str,
    file: &Path,
    path: &str,
    sha256: Option<Digest>,
) -> anyhow::Result<Value> {
    let opened = File::open(file).await.with_context(|| format!("cannot read {}", file.display()))?;
    let size = opened.metadata().await?.len();
    let bar = bar(path, Some(size));
    let media_type = mime_guess::from_path(file).first_or_octet_stream();
    if size >= artifact_parts::SIZE_MIN {
        let stored = artifact_parts::upload(session, parent, file, path, media_type.as_ref(), &bar).await?;
        bar.finish_and_clear();
        return Ok(stored);
    }
    let parts = ReaderStream::with_capacity(opened, PART_BYTES).inspect({
        let bar = bar.clone();
        move |part| bar.inc(part.as_ref().map_or(0, |part| part.len() as u64))
    });
    let mut url = format!("/api/v1/{parent}/files/{}", utf8_percent_encode(path, PATH));
    if let Some(sha256) = sha256 {
        url.push_str(&format!("?sha256={sha256}"));
    }
    let stored = session.client().put(&url, media_type.as_ref(), reqwest::Body::wrap_stream(parts)).await?;
    bar.finish_and_clear();
    Ok(stored)
}

/// Writes beside the target and renames, so that a broken line leaves no half file under its name.
async fn download(session: &Session, parent: &str, path: &str, to: &Path) -> anyhow::Result<()> {
    let url = format!("/api/v1/{parent}/files/{}", utf8_percent_encode(path, PATH));
    let (length, parts) = session.client().get(&url).await?;
    let bar = bar(path, length);
    let partial = to.with_added_extension("part");
    let written = async {
        let mut file = File::create(&partial).await.with_context(|| format!("cannot write {}", partial.display()))?;
        let mut parts = std::pin::pin!(parts);
        while let Some(part) = parts.next().await {
            let part = part?;
            file.write_all(&part).await.with_context(|| format!("cannot write {}", partial.display()))?;
            bar.inc(part.len() as u64);
        }
        file.sync_all().await?;
        tokio::fs::rename(&partial, to).await.with_context(|| format!("cannot write {}", to.display()))
    };
    let written = written.await;
    if written.is_err() {
        // Half a file is of no use to anybody; if it cannot be removed, the first error says why.
        let _ = tokio::fs::remove_file(&partial).await;
    }
    bar.finish_and_clear();
    written
}

/// On standard error and only on a terminal; indicatif sees to both.
fn bar(name: &str, length: Option<u64>) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new).with_message(name.to_owned());
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
