//! Has a data folder go on with a log that was carried from its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use uuid::Uuid;

use super::Folder;
use super::engines::{TRACES, remember};

/// What a data folder holds of the log that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    Sqlite,
    Jsonl,
    /// The copy of it.
    Kurrentdb,
    /// The name of the log in the database.
    Postgres(Uuid),
}

impl Trace {
    fn extension(self) -> &'static str {
        match self {
            Self::Sqlite => "db",
            Self::Jsonl => "jsonl",
            Self::Kurrentdb => "kurrentdb",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// Sets aside what other engines have left, and notes whose log counts from now on. Gives where the old one is.
///
/// Read models, keys and signed checkpoints stay: they were made from these events, at these positions.
pub fn switch(folder: &Folder, to: &Trace) -> anyhow::Result<PathBuf> {
    let ours = to.extension();
    let events = folder.events(ours);
    let events = events.parent().context("the log has no folder")?;
    let aside = free(&events.join("set-aside"));
    fs::create_dir_all(&aside).with_context(|| format!("{}", aside.display()))?;
    // Before anything is moved: a folder with two logs is refused, one with none begins anew.
    if let Trace::Postgres(log) = to {
        remember(&folder.events(ours), &log.to_string())?;
    } else if !folder.events(ours).exists() {
        bail!("{} is not there", folder.events(ours).display());
    }
    for other in TRACES.iter().filter(|trace| **trace != ours) {
        for end in ["", "-wal", "-shm", ".lock"] {
            let file = folder.events(&format!("{other}{end}"));
            if file.exists() {
                let name = file.file_name().context("it has a name")?;
                fs::rename(&file, aside.join(name)).with_context(|| format!("{}", file.display()))?;
            }
        }
    }
    File::open(events).and_then(|folder| folder.sync_all()).with_context(|| format!("{}", events.display()))?;
    Ok(aside)
}

/// A path that nothing is at yet.
fn free(path: &Path) -> PathBuf {
    let numbered = (2..).map(|number| path.with_extension(number.to_string()));
    std::iter::once(path.to_owned()).chain(numbered).find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_log_is_set_aside_and_the_new_one_remembered() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::open(home.path()).unwrap();
        fs::create_dir_all(folder.events("db").parent().unwrap()).unwrap();
        for file in ["db", "db-wal"] {
            fs::write(folder.events(file), "old").unwrap();
        }
        let log = Uuid::from_u128(7);
        let aside = switch(&folder, &Trace::Postgres(log)).unwrap();
        assert!(
            !folder.events("db").exists() && aside.join("events.db").exists() && aside.join("events.db-wal").exists()
        );
        assert_eq!(fs::read_to_string(folder.events("postgres")).unwrap().trim(), log.to_string());
        // And back again: nothing is overwritten.
        fs::write(folder.events("db"), "new").unwrap();
        let second = switch(&folder, &Trace::Sqlite).unwrap();
        assert!(second != aside && second.join("events.postgres").exists() && folder.events("db").exists());
        assert!(switch(&folder, &Trace::Jsonl).is_err(), "there is no such log");
    }
}
