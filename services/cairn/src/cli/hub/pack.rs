use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::manifest::{MANIFEST, MANIFEST_BYTES_MAX, Manifest};
use super::package::PACKAGE_BYTES_MAX;
use super::unpack::{FILES_MAX, entries};

/// Folders that are about the writing of a package, not part of it.
const LEFT_OUT: [&str; 4] = [".git", "__pycache__", ".venv", ".DS_Store"];

/// Packs a folder. The same files give the same bytes, whoever packs them and when.
pub fn folder(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut files = vec![];
    collect(folder, Path::new(""), &mut files)?;
    files.sort();
    if files.len() > FILES_MAX {
        bail!("{} holds more than {FILES_MAX} files", folder.display());
    }
    let encoder = GzEncoder::new(vec![], Compression::default());
    let mut archive = tar::Builder::new(encoder);
    let mut size = 0;
    for path in files {
        let full = folder.join(&path);
        let cannot = || format!("cannot pack {}", full.display());
        let file = File::open(&full).with_context(cannot)?;
        let metadata = file.metadata().with_context(cannot)?;
        size += metadata.len();
        if size > PACKAGE_BYTES_MAX {
            bail!("{} holds more than {PACKAGE_BYTES_MAX} bytes", folder.display());
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(metadata.len());
        header.set_mode(if metadata.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 });
        archive.append_data(&mut header, &path, file.take(metadata.len())).with_context(cannot)?;
    }
    Ok(archive.into_inner()?.finish()?)
}

fn collect(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let path = below.join(&name);
        match entry.file_type()? {
            kind if kind.is_dir() => collect(root, &path, files)?,
            kind if kind.is_file() => files.push(path),
            _ => bail!("{} is neither a file nor a folder: links are not packed", root.join(&path).display()),
        }
    }
    Ok(())
}

/// Reads an archive that somebody packed, and its manifest. It must be one that can be unpacked again.
pub fn archive(file: &Path) -> anyhow::Result<(Manifest, Vec<u8>)> {
    let cannot = || format!("cannot read {}", file.display());
    let size = fs::metadata(file).with_context(cannot)?.len();
    if size > PACKAGE_BYTES_MAX {
        bail!("{} has {size} bytes, more than {PACKAGE_BYTES_MAX}", file.display());
    }
    let bytes = fs::read(file).with_context(cannot)?;
    let mut manifest = None;
    entries(bytes.as_slice(), |path, _, content| {
        if path == Path::new(MANIFEST) {
            let mut text = String::new();
            content.take(MANIFEST_BYTES_MAX).read_to_string(&mut text)?;
            manifest = Some(text);
        }
        Ok(())
    })?;
    let Some(manifest) = manifest else { bail!("{} holds no {MANIFEST} at its top", file.display()) };
    Ok((Manifest::read(&manifest)?, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let made = || {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("src")).unwrap();
            fs::write(folder.path().join("src/main.py"), "print(1)").unwrap();
            fs::write(folder.path().join(MANIFEST), "name = 'f'").unwrap();
            fs::create_dir(folder.path().join(".git")).unwrap();
            fs::write(folder.path().join(".git/config"), "x").unwrap();
            super::folder(folder.path()).unwrap()
        };
        assert_eq!(made(), made());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.tar.gz");
        fs::write(&file, made()).unwrap();
        let (manifest, bytes) = archive(&file).unwrap();
        assert_eq!((manifest.name.as_str(), bytes), ("f", made()));
    }

    #[test]
    fn a_link_is_not_packed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        assert!(super::folder(folder.path()).unwrap_err().to_string().contains("links are not packed"));
    }
}
