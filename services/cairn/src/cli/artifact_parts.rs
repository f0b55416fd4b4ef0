//! Large files: sent in parts, several at a time, past the server where the store allows it. The same command again goes
//! on where it was, also after it was killed.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use cairn_client::Fault;
use cairn_objects::{Digest, Digester};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::session::Session;

const SERVICE: &str = "experiments.v1.ArtifactService";

/// Files from this size on are sent in parts.
pub const SIZE_MIN: u64 = 64 << 20;
/// Size of a part, unless a file is so large that there would be too many.
const PART_BYTES: u64 = 16 << 20;
/// Most parts of one upload.
const PARTS_MAX: u64 = 10_000;
/// Parts on their way at the same time. Each is held in memory once.
const PARALLEL: usize = 4;
/// Addresses asked for at once.
const PAGE: u64 = 100;
/// How often a part is sent before the command gives up, and the pause after the first time, which doubles.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);

/// What is known of an upload under way. Lies beside nothing of the user's: in the folder for programs' own state.
#[derive(Debug, Deserialize, Serialize)]
struct Notes {
    upload: String,
    sha256: String,
    part_bytes: u64,
    /// Size and time of the file: if they change, it is another one.
    size: u64,
    modified_ms: u64,
}

/// A part to send.
struct Part {
    number: u64,
    size: u64,
    address: String,
    headers: Vec<(String, String)>,
}

/// Uploads a file, or goes on with it.
pub async fn upload(
    session: &Session,
    parent: &str,
    file: &Path,
    path: &str,
    media_type: &str,
    bar: &ProgressBar,
) -> anyhow::Result<Value> {
    let about = file.metadata().with_context(|| format!("cannot read {}", file.display()))?;
    let modified_ms = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let place = notes_file(session, parent, file, path)?;
    let known = read_notes(&place).filter(|notes| (notes.size, notes.modified_ms) == (about.len(), modified_ms));
    let is_known = known.is_some();
    let notes = match known {
        Some(notes) => notes,
        None => begin(session, parent, file, path, media_type, (about.len(), modified_ms), &place).await?,
    };
    let done = send(session, parent, file, &notes, bar).await;
    let stored = match done {
        // Begun too long ago, or given up: begin anew.
        Err(fault) if is_known && is_unknown(&fault) => {
            let notes = begin(session, parent, file, path, media_type, (about.len(), modified_ms), &place).await?;
            send(session, parent, file, &notes, bar).await?
        }
        done => done?,
    };
    std::fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    Ok(stored)
}

/// Gives up an upload that was interrupted, if there is one: on the server and in the notes.
pub async fn give_up(session: &Session, parent: &str, file: &Path, path: &str) -> anyhow::Result<()> {
    // A file that is gone has no notes that could be found.
    let Ok(place) = notes_file(session, parent, file, path) else { return Ok(()) };
    let Some(notes) = read_notes(&place) else { return Ok(()) };
    let request = json!({"parent": parent, "upload": notes.upload});
    session.call(&format!("{SERVICE}/AbortArtifactUpload"), request).await?;
    std::fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))
}

async fn begin(
    session: &Session,
    parent: &str,
    file: &Path,
    path: &str,
    media_type: &str,
    (size, modified_ms): (u64, u64),
    place: &Path,
) -> anyhow::Result<Notes> {
    let sha256 = digest(file).await?.to_string();
    let part_bytes = PART_BYTES.max(size.div_ceil(PARTS_MAX));
    let request = json!({
        "parent": parent, "path": path, "size_bytes": size.to_string(), "sha256": sha256, "media_type": media_type,
        "part_bytes": part_bytes.to_string(),
    });
    let begun = session.call(&format!("{SERVICE}/BeginArtifactUpload"), request).await?;
    let upload = begun["upload"].as_str().context("the server began an upload without naming it")?.to_owned();
    let notes = Notes { upload, sha256, part_bytes, size, modified_ms };
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(place, serde_json::to_vec(&notes)?).with_context(|| format!("cannot write {}", place.display()))?;
    Ok(notes)
}

/// Sends what has not arrived, then completes.
async fn send(session: &Session, parent: &str, file: &Path, notes: &Notes, bar: &ProgressBar) -> anyhow::Result<Value> {
    let http = session.client().http();
    bar.set_position(0);
    let count = notes.size.div_ceil(notes.part_bytes).max(1);
    let mut first = 1;
    while first <= count {
        let request = json!({
            "parent": parent, "upload": notes.upload, "first_part": first, "part_count": PAGE, "lifetime": "21600s",
        });
        let mut answer = session.call(&format!("{SERVICE}/SignArtifactUploadParts"), request).await?;
        let Value::Array(parts) = answer["parts"].take() else { break };
        let mut missing = vec![];
        for part in &parts {
            match part["is_stored"].as_bool() {
                Some(true) => bar.inc(size_of(part)),
                _ => missing.push(read_part(part)?),
            }
        }
        let (http, file, part_bytes) = (&http, file, notes.part_bytes);
        let sending = stream::iter(missing.into_iter().map(|part| async move {
            send_part(http, file, part_bytes, &part).await?;
            bar.inc(part.size);
            anyhow::Ok(())
        }));
        sending.buffer_unordered(PARALLEL).try_collect::<Vec<()>>().await?;
        first += PAGE;
    }
    complete(session, parent, notes).await
}

/// Completing reads the whole once: a server may not be done with it before it has to answer, and is asked again.
async fn complete(session: &Session, parent: &str, notes: &Notes) -> anyhow::Result<Value> {
    let mut pause = PAUSE;
    for attempt in 1.. {
        let request = json!({"parent": parent, "upload": notes.upload});
        match session.call(&format!("{SERVICE}/CompleteArtifactUpload"), request).await {
            Err(fault) if attempt < ATTEMPTS && is_late(&fault) => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause *= 2;
    }
    bail!("the upload could not be completed")
}

async fn send_part(http: &reqwest::Client, file: &Path, part_bytes: u64, part: &Part) -> anyhow::Result<()> {
    let (file, from, size) = (file.to_owned(), (part.number - 1) * part_bytes, part.size);
    let bytes = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(file)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = vec![0; size as usize];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = bytes::Bytes::from(bytes.await??);
    let mut pause = PAUSE;
    for attempt in 1.. {
        let request = http.put(&part.address).body(bytes.clone());
        let request = part.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let problem = match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if answer.status().is_client_error() => {
                bail!("part {} was refused: {}", part.number, answer.text().await.unwrap_or_default());
            }
            Ok(answer) => answer.status().to_string(),
            // Without the address: whoever holds it holds the right to write.
            Err(fault) => fault.without_url().to_string(),
        };
        if attempt == ATTEMPTS {
            bail!("part {} could not be sent: {problem}", part.number);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

fn read_part(part: &Value) -> anyhow::Result<Part> {
    let headers = part["headers"].as_object().map(|headers| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        headers.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    });
    Ok(Part {
        number: part["number"].as_u64().context("a part has no number")?,
        size: size_of(part),
        address: part["address"].as_str().context("a part has no address")?.to_owned(),
        headers: headers.unwrap_or_default(),
    })
}

/// 64-bit numbers travel as text.
fn size_of(part: &Value) -> u64 {
    part["size_bytes"].as_str().and_then(|size| size.parse().ok()).unwrap_or_default()
}

/// SHA-256 of a file.
pub async fn digest(file: &Path) -> anyhow::Result<Digest> {
    let file = file.to_owned();
    let digest = tokio::task::spawn_blocking(move || -> std::io::Result<Digest> {
        let (mut file, mut digester, mut buffer) = (std::fs::File::open(file)?, Digester::default(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(digester.finish().1),
                taken => digester.update(&buffer[..taken]),
            }
        }
    });
    Ok(digest.await??)
}

fn read_notes(place: &Path) -> Option<Notes> {
    std::fs::read(place).ok().and_then(|text| serde_json::from_slice(&text).ok())
}

/// One file of notes for each file, run and server.
fn notes_file(session: &Session, parent: &str, file: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let state = match state {
        Some(state) => state,
        None => PathBuf::from(std::env::var_os("HOME").context("HOME names no folder for notes")?).join(".local/state"),
    };
    let file = file.canonicalize().with_context(|| format!("cannot read {}", file.display()))?;
    let name = format!("{}\n{parent}\n{path}\n{}", session.url(), file.display());
    Ok(state.join("cairn/uploads").join(format!("{}.json", Digest::of(name.as_bytes()))))
}

/// Whether the server does not know the upload (any more).
fn is_unknown(fault: &anyhow::Error) -> bool {
    fault.downcast_ref::<Fault>().and_then(Fault::reason) == Some("UPLOAD_NOT_FOUND")
}

/// Whether the server was not done in time, or the answer was lost.
fn is_late(fault: &anyhow::Error) -> bool {
    match fault.downcast_ref::<Fault>() {
        Some(refused) if refused.is_over_quota() => false,
        Some(Fault::Refused { status, .. }) => matches!(status, 408 | 429 | 502 | 503 | 504),
        Some(Fault::Unreachable { .. }) => true,
        _ => false,
    }
}
