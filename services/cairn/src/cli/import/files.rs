use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use super::Import;
use super::pairs::text;
use super::report::{Kind, Outcome};
use super::target::is_fatal;
use crate::cli::artifacts::PATH;

/// How often a file is copied before it is left out, and the pause between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Whose files.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Run(&'a str),
    Model(&'a str),
}

impl Import {
    /// Copies the files of a run or logged model that are not there yet in the same size. Gives how many it copied.
    pub async fn files(&self, place: Place<'_>, parent: &str, label: &str) -> anyhow::Result<usize> {
        let mut folders = vec![String::new()];
        let (mut known, mut copied): (Option<BTreeMap<String, u64>>, usize) = (None, 0);
        while let Some(folder) = folders.pop() {
            let entries = self.source.folder(place, &folder).await?;
            for entry in &entries {
                let path = text(&entry["path"]);
                if entry["is_dir"] == true {
                    folders.push(path.to_owned());
                    continue;
                }
                if known.is_none() {
                    known = Some(self.known(parent).await?);
                }
                let size = size_of(&entry["file_size"]);
                // A server leaves out the size of an empty file.
                let known = known.as_ref().and_then(|known| known.get(path).copied());
                if known == Some(size.unwrap_or_default()) {
                    self.report.count(Kind::Files, Outcome::Unchanged, 1);
                    continue;
                }
                match self.copy(place, parent, path, size).await {
                    Ok(()) => {
                        self.report.count(Kind::Files, Outcome::Imported, 1);
                        copied += 1;
                    }
                    Err(fault) if is_fatal(&fault) => return Err(fault),
                    Err(fault) => self.report.leave_out(format!("{path} of {label}"), format!("{fault:#}")),
                }
            }
        }
        Ok(copied)
    }

    /// Sizes of the files that are there, by their paths.
    async fn known(&self, parent: &str) -> anyhow::Result<BTreeMap<String, u64>> {
        let request = json!({"parent": parent});
        let rpc = "experiments.v1.ArtifactService/ListArtifacts";
        let found = self.target.session().list(rpc, request, usize::MAX).await?;
        let sized = |file: &Value| (text(&file["path"]).to_owned(), stored_size(file));
        Ok(found.iter().map(sized).collect())
    }

    /// From one place to the other, without a stop on the way: however large it is, little of it is in memory.
    async fn copy(&self, place: Place<'_>, parent: &str, path: &str, size: Option<u64>) -> anyhow::Result<()> {
        let url = format!("/api/v1/{parent}/files/{}", utf8_percent_encode(path, PATH));
        let media_type = mime_guess::from_path(path).first_or_octet_stream();
        let mut problem = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let body = self.source.file(place, path).await?;
            match self.target.session().client().put(&url, media_type.as_ref(), body).await {
                Ok(stored) if size.is_none_or(|size| size == stored_size(&stored)) => return Ok(()),
                Ok(_) => problem = Some(anyhow::anyhow!("it has another size than the source's list says")),
                Err(fault) if fault.is_over_quota() => return Err(fault.into()),
                // A line that broke on either side ends the copy: which one it was, only the next attempt shows.
                Err(fault) => problem = Some(fault.into()),
            }
        }
        match problem {
            Some(fault) => Err(fault).context("could not be copied"),
            None => bail!("was not copied"),
        }
    }
}

/// The size of a file that is here; 0 is not written out.
fn stored_size(file: &Value) -> u64 {
    size_of(&file["size_bytes"]).unwrap_or_default()
}

/// Sizes are numbers there and text here.
fn size_of(size: &Value) -> Option<u64> {
    size.as_u64().or_else(|| size.as_str()?.parse().ok())
}
