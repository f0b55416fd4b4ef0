//! `cairn audit checkpoint`, `prove` and `pull`: what others verify the log with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_tlog::{Bundle, Checkpoint, Note, TILE_WIDTH, Tile};
use futures::StreamExt;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::output::line;
use super::session::Session;
use super::verify::Told;

/// Whose log: everybody's, or that of an organization.
#[derive(Debug, Default, clap::Args)]
pub struct Whose {
    /// The log of this organization alone: every event of its projects and its own, in a tree that is signed for it.
    #[arg(long, value_name = "ORGANIZATION")]
    organization: Option<String>,
}

impl Whose {
    fn name(&self) -> Option<String> {
        self.organization.as_deref().map(|given| match given.starts_with("organizations/") {
            true => given.to_owned(),
            false => format!("organizations/{given}"),
        })
    }

    async fn call(&self, session: &Session, everybodys: &str, one: &str, mut request: Value) -> anyhow::Result<Value> {
        let method = match self.name() {
            None => format!("ledger.v1.TransparencyService/{everybodys}"),
            Some(name) => {
                request["organization"] = name.into();
                format!("ledger.v1.OrganizationLogService/{one}")
            }
        };
        session.call(&method, request).await
    }

    /// Where the gateway serves the files of the log.
    fn files(&self) -> String {
        self.name().map_or_else(|| "/api/v1/audit/log".to_owned(), |name| format!("/api/v1/{name}/audit/log"))
    }
}

pub async fn checkpoint(session: &Session, whose: &Whose, is_keys: bool) -> anyhow::Result<()> {
    let found = whose.call(session, "GetCheckpoint", "FetchOrganizationCheckpoint", json!({})).await?;
    if session.output.is_json {
        return session.output.json(&found);
    }
    if is_keys {
        let keys = found["verifying_keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
        return keys.into_iter().try_for_each(line);
    }
    line(found["note"].as_str().unwrap_or_default().trim_end())
}

pub async fn prove(session: &Session, whose: &Whose, position: u64, to: Option<PathBuf>) -> anyhow::Result<()> {
    let to = to.unwrap_or_else(|| PathBuf::from(format!("{position}.tlog-proof")));
    write_proof(session, whose, position, &to).await?;
    let sentence = format!("wrote {}; verify it with `cairn audit verify {0} --key KEY`", to.display());
    session.output.done(&sentence, &json!({"file": to, "position": position.to_string()}))
}

/// Asks for a proof and writes it with what it is about, so that the file is all that it takes.
pub async fn write_proof(session: &Session, whose: &Whose, position: u64, to: &Path) -> anyhow::Result<()> {
    let request = json!({"position": position.to_string()});
    let proof = whose.call(session, "ProveEvent", "ProveOrganizationEvent", request).await?;
    let text = |field: &str| proof[field].as_str().unwrap_or_default().to_owned();
    let mut bundle: Bundle = text("proof").parse().context("the answer is no proof")?;
    let told = Told { entry: text("entry"), salt: text("salt"), payload: text("payload") };
    bundle.extra = Some(serde_json::to_vec(&told)?);
    fs::write(to, bundle.to_string()).with_context(|| format!("cannot write {}", to.display()))
}

/// Copies the tiles and bundles of entries that are not in the folder yet, then the checkpoint over them.
pub async fn pull(session: &Session, whose: &Whose, folder: &Path) -> anyhow::Result<()> {
    let files = whose.files();
    let note = String::from_utf8(get(session, &files, "checkpoint").await?).context("the checkpoint is no text")?;
    let checkpoint: Checkpoint = note.parse::<Note>().context("the answer is no note")?.text.parse()?;
    same_epoch(folder, &checkpoint)?;
    let tiles = tiles(checkpoint.size);
    let bar = ProgressBar::new(tiles.len() as u64);
    let mut fetched = 0;
    for tile in &tiles {
        fetched += u64::from(copy(session, &files, folder, &tile.to_string()).await?);
        if tile.level == 0 {
            let entries = tile.to_string().replace("tile/0/", "tile/entries/");
            fetched += u64::from(copy(session, &files, folder, &entries).await?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    // Last, so that a copy that broke off does not say that it is whole.
    write(&folder.join("checkpoint"), note.as_bytes())?;
    let sentence = format!("{} has the log's first {} events ({fetched} files new)", folder.display(), checkpoint.size);
    let answer = json!({"folder": folder, "size": checkpoint.size.to_string(), "files": fetched});
    session.output.done(&sentence, &answer)
}

/// A copy is of one epoch: in another the log may not be what was copied, and that is evidence.
fn same_epoch(folder: &Path, checkpoint: &Checkpoint) -> anyhow::Result<()> {
    let Ok(kept) = fs::read_to_string(folder.join("checkpoint")) else { return Ok(()) };
    let kept: Checkpoint = kept.parse::<Note>().context("the folder's checkpoint is no note")?.text.parse()?;
    anyhow::ensure!(
        kept.origin == checkpoint.origin,
        "{} is a copy of {}, and the log is signed as {} now: keep it, and copy into another folder",
        folder.display(),
        kept.origin,
        checkpoint.origin
    );
    Ok(())
}

/// Every tile of a tree of this size.
fn tiles(size: u64) -> Vec<Tile> {
    let levels = (0..).take_while(|level| Tile::count_at(*level, size) > 0);
    levels
        .flat_map(|level| {
            let count = Tile::count_at(level, size);
            (0..count).step_by(TILE_WIDTH as usize).filter_map(move |first| Tile::holding(level, first, size))
        })
        .collect()
}

/// Whether the file was missing: full ones never change.
async fn copy(session: &Session, files: &str, folder: &Path, path: &str) -> anyhow::Result<bool> {
    let to = folder.join(path);
    if to.is_file() {
        return Ok(false);
    }
    write(&to, &get(session, files, path).await?)?;
    // A tile that has become full takes the place of all that it was before.
    match fs::remove_dir_all(folder.join(format!("{path}.p"))) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => Err(fault.into()),
        _ => Ok(true),
    }
}

async fn get(session: &Session, files: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let (_, parts) = session.client().get(&format!("{files}/{path}")).await?;
    let mut parts = std::pin::pin!(parts);
    let mut file = vec![];
    while let Some(part) = parts.next().await {
        file.extend(part?);
    }
    Ok(file)
}

/// Whole or not at all.
fn write(to: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", to.display());
    fs::create_dir_all(to.parent().unwrap_or(Path::new("."))).with_context(cannot)?;
    let draft = to.with_added_extension("new");
    fs::write(&draft, bytes).with_context(cannot)?;
    fs::rename(&draft, to).with_context(cannot)
}
