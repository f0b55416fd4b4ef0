//! Archives of others, taken apart with care.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use flate2::read::GzDecoder;

use super::HubFault;

/// Most files and folders of a package.
pub const FILES_MAX: usize = 20_000;
/// Most bytes that a package may unpack to, however small it is packed.
const UNPACKED_BYTES_MAX: u64 = 8 << 30;
/// Longest path within a package, in bytes.
const PATH_BYTES_MAX: usize = 1000;

/// Calls `each` with every file of an archive: its path, whether it can be run, and its content.
///
/// Refuses what a package has no use for and an attacker has: paths that lead out, links, devices, a file twice, and more
/// bytes or files than anybody packs.
pub fn entries(
    archive: impl Read,
    mut each: impl FnMut(&Path, bool, &mut dyn Read) -> io::Result<()>,
) -> anyhow::Result<()> {
    let refused = |problem: String| HubFault::Refused(problem);
    // What was packed so small that it is larger than it may be ends early, and the archive with it.
    let mut archive = tar::Archive::new(GzDecoder::new(archive).take(UNPACKED_BYTES_MAX));
    let (mut count, mut size) = (0, 0_u64);
    let broken = |fault: io::Error| refused(format!("it cannot be unpacked: {fault}"));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        count += 1;
        size = size.saturating_add(entry.size());
        if count > FILES_MAX || size > UNPACKED_BYTES_MAX {
            return Err(refused(format!("it holds more than {FILES_MAX} files or {UNPACKED_BYTES_MAX} bytes")).into());
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            plain(&path)?;
            continue;
        }
        if !kind.is_file() {
            return Err(refused(format!("{} is neither a file nor a folder", path.display())).into());
        }
        let path = plain(&path)?;
        let is_program = entry.header().mode().map_err(broken)? & 0o100 != 0;
        each(&path, is_program, &mut entry).with_context(|| format!("cannot unpack {}", path.display()))?;
    }
    Ok(())
}

/// The path of an entry, if it stays where it is put.
fn plain(path: &Path) -> Result<PathBuf, HubFault> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) if !part.as_encoded_bytes().contains(&b'\\') => plain.push(part),
            Component::CurDir => {}
            _ => return Err(HubFault::Refused(format!("{} leads out of the package", path.display()))),
        }
    }
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(HubFault::Refused(format!("a path has more than {PATH_BYTES_MAX} bytes")));
    }
    Ok(plain)
}

/// Unpacks an archive into a folder, which must be empty.
pub fn unpack(archive: impl Read, folder: &Path) -> anyhow::Result<usize> {
    let mut files = 0;
    entries(archive, |path, is_program, content| {
        let target = folder.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mode = if is_program { 0o755 } else { 0o644 };
        // Never through a link, and never over a file: the folder was empty, and links are refused.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&target)?;
        io::copy(content, &mut file)?;
        files += 1;
        Ok(())
    })?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{EntryType, Header};

    use super::*;

    /// An archive with one entry, whose path is written as it is.
    fn archive(path: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o777);
        if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn refused(archive: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let fault = unpack(archive, &inside).unwrap_err();
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0, "nothing is left of it");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is beside it");
        format!("{fault:#}")
    }

    #[test]
    fn what_leads_out_of_a_package_is_refused() {
        for path in ["../evil", "/etc/evil", "a/../../evil", "..", "a\\..\\evil"] {
            let said = refused(&archive(path, EntryType::Regular, "", b"x"));
            assert!(said.contains("leads out"), "{path}: {said}");
        }
        let said = refused(&archive("../evil", EntryType::Directory, "", b""));
        assert!(said.contains("leads out"), "{said}");
    }

    #[test]
    fn links_and_devices_are_refused() {
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
            let said = refused(&archive("a", kind, "/etc/passwd", b""));
            assert!(said.contains("neither a file nor a folder"), "{kind:?}: {said}");
        }
    }

    #[test]
    fn what_claims_to_be_larger_than_anything_packed_is_refused() {
        let mut header = Header::new_ustar();
        header.set_path("large").unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_size(UNPACKED_BYTES_MAX + 1);
        header.set_cksum();
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        io::Write::write_all(&mut encoder, header.as_bytes()).unwrap();
        assert!(refused(&encoder.finish().unwrap()).contains("holds more than"));
    }

    #[test]
    fn what_is_no_archive_or_breaks_off_is_refused() {
        assert!(refused(b"nonsense").contains("cannot be unpacked"));
        let whole = archive("a", EntryType::Regular, "", &[7; 5000]);
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(&whole[..whole.len() / 2], folder.path()).is_err());
    }

    #[test]
    fn a_file_that_stands_twice_in_a_package_is_refused() {
        let mut builder = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
        for _ in 0..2 {
            let mut header = Header::new_ustar();
            header.set_size(1);
            header.set_mode(0o644);
            builder.append_data(&mut header, "a", &b"x"[..]).unwrap();
        }
        let bytes = builder.into_inner().unwrap().finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(bytes.as_slice(), folder.path()).is_err());
    }
}
