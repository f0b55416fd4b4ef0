use cap_std::fs::Dir;

use super::disk::{Disk, listed};
use crate::{Key, Listed, Listing, ObjectFault};

/// Lists objects in the order of their keys' bytes, without reading folders that cannot hold a wanted key.
pub(super) fn list(disk: &Disk, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Listing, ObjectFault> {
    let mut walk = Walk { prefix, after: after.map_or("", Key::as_str), wanted: limit + 1, found: vec![] };
    if limit > 0 {
        walk.folder(&disk.objects, "")?;
    }
    let has_more = walk.found.len() > limit;
    walk.found.truncate(limit);
    let next = walk.found.last().filter(|_| has_more).map(|last| last.key.clone());
    Ok(Listing { objects: walk.found, next })
}

struct Walk<'a> {
    prefix: &'a str,
    after: &'a str,
    wanted: usize,
    found: Vec<Listed>,
}

impl Walk<'_> {
    /// Takes in what lies in a folder whose keys all begin with `path`.
    fn folder(&mut self, folder: &Dir, path: &str) -> Result<(), ObjectFault> {
        for (name, is_folder) in entries(folder, path)? {
            if self.found.len() == self.wanted {
                return Ok(());
            }
            let here = format!("{path}{name}");
            if is_folder {
                if self.may_hold(&here) {
                    match folder.open_dir(name.trim_end_matches('/')) {
                        Ok(inner) => self.folder(&inner, &here)?,
                        // Removed since it was listed.
                        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {}
                        Err(fault) => return Err(ObjectFault::disk(fault)),
                    }
                }
            } else if here.starts_with(self.prefix) && here.as_str() > self.after {
                let Ok(key) = here.parse::<Key>() else { continue };
                match folder.symlink_metadata(&name) {
                    Ok(about) => self.found.push(listed(key, &about)),
                    Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {}
                    Err(fault) => return Err(ObjectFault::disk(fault)),
                }
            }
        }
        Ok(())
    }

    /// Whether a key that begins with `path` can have the prefix and come after the last page.
    fn may_hold(&self, path: &str) -> bool {
        let can_match = self.prefix.starts_with(path) || path.starts_with(self.prefix);
        let can_follow = self.after < path || self.after.starts_with(path);
        can_match && can_follow
    }
}

/// A folder's entries in the order of keys: a folder's name counts with its slash.
fn entries(folder: &Dir, path: &str) -> Result<Vec<(String, bool)>, ObjectFault> {
    let mut entries = vec![];
    let listing = match folder.entries() {
        Ok(listing) => listing,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound && !path.is_empty() => return Ok(entries),
        Err(fault) => return Err(ObjectFault::disk(fault)),
    };
    for entry in listing {
        let entry = entry.map_err(ObjectFault::disk)?;
        let kind = entry.file_type().map_err(ObjectFault::disk)?;
        // What is neither (a link, a pipe), or has no name of ours, was not put here by us.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if kind.is_dir() {
            entries.push((name + "/", true));
        } else if kind.is_file() {
            entries.push((name, false));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}
