//! `cairn runs logs`: what the programs of a run print.

use std::io::{BufRead, BufReader, IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::output::{Column, line, printable, text};
use super::session::{Items, Session, given};

const SERVICE: &str = "experiments.v1.RunLogService";
const COLUMNS: &[Column] = &[("LINE", "number"), ("TIME", "log_time"), ("TEXT", "text")];

/// Longest line that is sent as one, in bytes: what the server takes unless it is set up otherwise.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Most lines sent at once, and most bytes.
const BATCH_LINES_MAX: usize = 5_000;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Longest wait for more lines before those at hand are sent.
const BATCH_WAIT: Duration = Duration::from_millis(200);
/// Lines that wait to be sent; a program that prints faster is held up.
const WAITING_MAX: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct Command {
    /// Its id, or full name.
    run: String,
    /// Go on until the run ends.
    #[arg(short, long)]
    follow: bool,
    /// Only the last so many lines.
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// Only lines of the last so long (`10m`), or from a time on (`2026-01-31T12:00:00Z`).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Add the lines of this file to the log, or of standard input (`-`), as they come.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["follow", "tail", "since"])]
    append: Option<PathBuf>,
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let parent = super::runs::name(&session, &command.run).await?;
    if let Some(file) = &command.append {
        return append(&session, &parent, file).await;
    }
    let start = command.since.as_deref().map(time);
    let request = given(json!({"parent": parent, "tail": command.tail, "start_time": start}));
    if session.output.is_json && !command.follow {
        return session.show(&format!("{SERVICE}/ListRunLogLines"), request, Items::new(COLUMNS), usize::MAX).await;
    }
    let is_terminal = stdout().is_terminal();
    let mut messages = session.stream(&format!("{SERVICE}/WatchRunLog"), request).await?;
    while let Some(message) = messages.next().await? {
        for logged in message["lines"].as_array().into_iter().flatten() {
            let plain = logged["text"].as_str().unwrap_or_default();
            match (session.output.is_json, is_terminal) {
                (true, _) => line(&logged.to_string())?,
                (false, true) => line(&printable(plain))?,
                // Byte for byte what the run's digest is of.
                (false, false) => line(plain)?,
            }
        }
        if !command.follow && message["is_live"] == true {
            break;
        }
    }
    Ok(())
}

/// A span before now, or a time as it is.
fn time(since: &str) -> String {
    match humantime::parse_duration(since) {
        Ok(span) => humantime::format_rfc3339_micros(SystemTime::now() - span).to_string(),
        Err(_) => since.to_owned(),
    }
}

async fn append(session: &Session, parent: &str, file: &Path) -> anyhow::Result<()> {
    let (sender, mut lines) = mpsc::channel(WAITING_MAX);
    let path = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || match path.as_os_str().to_str() {
        Some("-") => read(stdin().lock(), &sender),
        _ => read(BufReader::new(std::fs::File::open(&path)?), &sender),
    });
    let (mut count, mut log) = (0, Value::Null);
    while let Some(batch) = batch(&mut lines).await {
        count += batch.len();
        let lines: Vec<Value> = batch.iter().map(|text| json!({"text": text})).collect();
        // An id for each batch: one that is sent again after a broken line is not there twice.
        let request = json!({"parent": parent, "lines": lines, "request_id": Uuid::new_v4().to_string()});
        log = session.call(&format!("{SERVICE}/AppendRunLog"), request).await?;
    }
    reading.await?.with_context(|| format!("cannot read {}", file.display()))?;
    session.output.done(&format!("added {count} lines to the log, which has {}", text(&log["line_count"])), &log)
}

/// Sends lines on their way, until there are none or nobody takes them.
fn read(mut from: impl BufRead, to: &mpsc::Sender<String>) -> std::io::Result<()> {
    let mut bytes = vec![];
    while from.read_until(b'\n', &mut bytes)? > 0 {
        let plain = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let plain = plain.strip_suffix(b"\r").unwrap_or(plain);
        for piece in pieces(&String::from_utf8_lossy(plain)) {
            if to.blocking_send(piece.to_owned()).is_err() {
                return Ok(());
            }
        }
        bytes.clear();
    }
    Ok(())
}

/// A line as several that are not too long.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = vec![];
    while text.len() > LINE_BYTES_MAX {
        let (piece, rest) = text.split_at(text.floor_char_boundary(LINE_BYTES_MAX));
        pieces.push(piece);
        text = rest;
    }
    pieces.push(text);
    pieces
}

/// The next lines to send: those that come soon after the first.
async fn batch(lines: &mut mpsc::Receiver<String>) -> Option<Vec<String>> {
    let mut batch = vec![lines.recv().await?];
    let mut size = batch[0].len();
    let until = Instant::now() + BATCH_WAIT;
    while batch.len() < BATCH_LINES_MAX && size < BATCH_BYTES_MAX {
        let Ok(Some(line)) = timeout_at(until, lines.recv()).await else { break };
        size += line.len();
        batch.push(line);
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_broken_between_characters() {
        assert_eq!(pieces(""), [""]);
        let long = "ü".repeat(LINE_BYTES_MAX);
        let broken = pieces(&long);
        assert_eq!((broken.len(), broken.concat()), (2, long.clone()));
        assert!(pieces(&format!("x{long}")).iter().all(|piece| piece.len() <= LINE_BYTES_MAX));
    }

    #[tokio::test]
    async fn lines_are_sent_together_and_without_their_ends() {
        let (sender, mut lines) = mpsc::channel(10);
        let reading = tokio::task::spawn_blocking(move || read(&b"a\r\n\nb"[..], &sender));
        reading.await.unwrap().unwrap();
        assert_eq!(batch(&mut lines).await.unwrap(), ["a", "", "b"]);
        assert_eq!(batch(&mut lines).await, None);
    }
}
