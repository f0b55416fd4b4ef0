use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_tlog::{KeyName, Kind, SigningKey};

use crate::cli::exit::Unusable;

/// Makes a key in a new file (mode 0600), and gives what others verify it with.
pub fn generate(name: &str, file: &Path) -> anyhow::Result<String> {
    let name: KeyName = name.parse().map_err(|fault: cairn_tlog::KeyFault| Unusable(fault.to_string()))?;
    let seed = SigningKey::new_seed();
    let key = SigningKey::from_seed(name.clone(), Kind::Log, &seed);
    let cannot = || format!("cannot make {}", file.display());
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).with_context(cannot)?;
    writeln!(made, "{name} {}", STANDARD.encode(seed)).with_context(cannot)?;
    made.sync_all().with_context(cannot)?;
    Ok(key.verifying().to_string())
}

/// Reads a key that [`generate`] made.
pub fn open(file: &Path) -> anyhow::Result<SigningKey> {
    let cannot = || format!("cannot read the signing key in {}", file.display());
    let mode = fs::metadata(file).with_context(cannot)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let file = file.display();
        return Err(Unusable(format!("{file} can be read by others (mode {mode:o}): run chmod 600 {file}")).into());
    }
    let text = fs::read_to_string(file).with_context(cannot)?;
    let read = text.trim().split_once(' ').and_then(|(name, seed)| {
        let seed = <[u8; 32]>::try_from(STANDARD.decode(seed).ok()?).ok()?;
        Some(SigningKey::from_seed(name.parse().ok()?, Kind::Log, &seed))
    });
    let wrong = || Unusable(format!("{} holds no signing key: `cairn hub keygen` makes one", file.display()));
    Ok(read.ok_or_else(wrong)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_to_its_owner_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let verifying = generate("example.com/team", &file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open(&file).unwrap().verifying().to_string(), verifying);
        assert!(generate("example.com/team", &file).is_err(), "a key is never overwritten");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(open(&file).unwrap_err().to_string().contains("chmod 600"));
    }
}
