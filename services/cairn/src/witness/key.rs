use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_tlog::{KeyName, Kind, SigningKey};

/// Reads the witness's key, or makes one (mode 0600) if there is no file.
pub fn open_key(path: &Path, name: &KeyName) -> anyhow::Result<SigningKey> {
    let cannot = || format!("the witness's key file {} cannot be read or written", path.display());
    if !path.try_exists().with_context(cannot)? {
        make(path, name).with_context(cannot)?;
    }
    let mode = fs::metadata(path).with_context(cannot)?.permissions().mode() & 0o777;
    ensure!(mode & 0o077 == 0, "{0} can be read by others (mode {mode:o}): run chmod 600 {0}", path.display());
    let text = fs::read_to_string(path).with_context(cannot)?;
    let read = text.trim().split_once(' ').and_then(|(name, seed)| Some((name, STANDARD.decode(seed).ok()?)));
    let Some((found, seed)) = read.and_then(|(name, seed)| Some((name, <[u8; 32]>::try_from(seed).ok()?))) else {
        bail!("{} must hold a name and the base64 of 32 bytes with a space between", path.display());
    };
    ensure!(found == name.to_string(), "the key in {} is that of {found}, not of {name}", path.display());
    Ok(SigningKey::from_seed(name.clone(), Kind::Cosignature, &seed))
}

fn make(path: &Path, name: &KeyName) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{name} {}", STANDARD.encode(SigningKey::new_seed()))?;
    file.sync_all()
}
