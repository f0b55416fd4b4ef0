use std::io::{self, Read, Write};
use std::time::SystemTime;

use cairn_kernel::Time;
use cap_std::fs::Dir;
use uuid::Uuid;

use super::disk::{Disk, sync, time_of};
use crate::{Arrived, Digester, Expect, Key, ObjectFault, PAGE_MAX, Part, Unfinished, UploadId, Written};

/// File that says which key an upload is for.
const KEY_FILE: &str = "key";
/// Bytes copied at once.
const COPY_BYTES: usize = 256 * 1024;

/// Makes a folder for an upload's parts.
pub(super) fn begin(disk: &Disk, key: &Key) -> Result<UploadId, ObjectFault> {
    let id = Uuid::new_v4().simple().to_string();
    let make = || {
        disk.uploads.create_dir(&id)?;
        let folder = disk.uploads.open_dir(&id)?;
        folder.write(KEY_FILE, key.as_str())?;
        folder.open(KEY_FILE)?.sync_all()?;
        sync(&folder)?;
        sync(&disk.uploads)
    };
    make().map_err(ObjectFault::disk)?;
    Ok(UploadId(id))
}

/// Whether there is such an upload.
pub(super) fn check(disk: &Disk, key: &Key, upload: &UploadId) -> Result<(), ObjectFault> {
    open(disk, key, upload).map(drop)
}

/// Makes a draft a part of the upload. Its digest stands in its name, so that a part cannot be taken for another.
pub(super) fn keep_part(
    disk: &Disk,
    draft: &str,
    key: &Key,
    upload: &UploadId,
    number: u32,
    written: &Written,
) -> Result<(), ObjectFault> {
    let folder = open(disk, key, upload)?;
    let name = part_name(number, &written.sha256.to_string());
    disk.drafts.rename(draft, &folder, name).map_err(ObjectFault::disk)?;
    sync(&folder).map_err(ObjectFault::disk)
}

/// The parts that are there.
pub(super) fn parts(disk: &Disk, key: &Key, upload: &UploadId) -> Result<Vec<Arrived>, ObjectFault> {
    let folder = open(disk, key, upload)?;
    let mut arrived: Vec<(SystemTime, Arrived)> = vec![];
    for entry in folder.entries().map_err(ObjectFault::disk)? {
        let entry = entry.map_err(ObjectFault::disk)?;
        let name = entry.file_name();
        let Some((number, etag)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
        let Ok(number) = number.parse() else { continue };
        let about = entry.metadata().map_err(ObjectFault::disk)?;
        let time = about.modified().map_err(ObjectFault::disk)?.into_std();
        arrived.push((time, Arrived { part: Part { number, etag: etag.to_owned() }, size: about.len() }));
    }
    // The latest of each number first: it is the one that stays.
    arrived
        .sort_by(|(time, one), (other_time, other)| one.part.number.cmp(&other.part.number).then(other_time.cmp(time)));
    arrived.dedup_by_key(|(_, arrived)| arrived.part.number);
    Ok(arrived.into_iter().map(|(_, arrived)| arrived).collect())
}

/// Uploads whose folder has not changed since: taking a part changes it.
pub(super) fn unfinished(disk: &Disk, before: Time) -> Result<Vec<Unfinished>, ObjectFault> {
    let mut found = vec![];
    for entry in disk.uploads.entries().map_err(ObjectFault::disk)? {
        if found.len() == PAGE_MAX {
            break;
        }
        let entry = entry.map_err(ObjectFault::disk)?;
        // Completed or given up since it was listed.
        let Ok(about) = entry.metadata() else { continue };
        let time = time_of(&about);
        let Some(id) = entry.file_name().to_str().filter(|_| time < before).map(str::to_owned) else { continue };
        match disk.uploads.open_dir(&id).and_then(|folder| folder.read_to_string(KEY_FILE)) {
            Ok(text) => match text.parse() {
                Ok(key) => found.push(Unfinished { key, upload: UploadId(id), time }),
                Err(_) => drop(disk.uploads.remove_dir_all(&id)),
            },
            // Broken off before it could say what it is for, so nobody knows its name; or gone since it was listed.
            Err(_) => drop(disk.uploads.remove_dir_all(&id)),
        }
    }
    Ok(found)
}

/// Copies the parts into one file, makes it the object, and forgets the upload.
pub(super) fn complete(
    disk: &Disk,
    key: &Key,
    upload: &UploadId,
    parts: &[Part],
    expect: &Expect,
) -> Result<Written, ObjectFault> {
    let folder = open(disk, key, upload)?;
    let (draft, mut whole) = disk.create_draft()?;
    let joined = join(&folder, parts, &mut whole, expect).and_then(|written| {
        disk.keep(&draft, key)?;
        Ok(written)
    });
    if joined.is_err() {
        disk.remove_draft(&draft);
    } else {
        // The object is there; an upload that cannot be removed only takes space.
        let _ = disk.uploads.remove_dir_all(&upload.0);
    }
    joined
}

/// Forgets an upload.
pub(super) fn abort(disk: &Disk, key: &Key, upload: &UploadId) -> Result<(), ObjectFault> {
    match open(disk, key, upload) {
        Ok(_) => disk.uploads.remove_dir_all(&upload.0).map_err(ObjectFault::disk),
        Err(ObjectFault::UploadNotFound { .. }) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// The folder of an upload, if it is one for this key.
fn open(disk: &Disk, key: &Key, upload: &UploadId) -> Result<Dir, ObjectFault> {
    let unknown = || ObjectFault::UploadNotFound { key: key.clone(), upload: upload.to_string() };
    // Only ids of our own making name a folder.
    let id: Uuid = upload.0.parse().map_err(|_| unknown())?;
    let folder = match disk.uploads.open_dir(id.simple().to_string()) {
        Ok(folder) => folder,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Err(unknown()),
        Err(fault) => return Err(ObjectFault::disk(fault)),
    };
    match folder.read_to_string(KEY_FILE) {
        Ok(text) if text == key.as_str() => Ok(folder),
        _ => Err(unknown()),
    }
}

fn join(folder: &Dir, parts: &[Part], whole: &mut std::fs::File, expect: &Expect) -> Result<Written, ObjectFault> {
    let mut digester = Digester::default();
    let mut buffer = vec![0; COPY_BYTES];
    for part in parts {
        // Only names of our own making are opened: a digest in hexadecimal.
        let is_digest = part.etag.len() == 64 && part.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mismatch = || ObjectFault::PartMismatch { number: part.number };
        let mut file =
            is_digest.then(|| folder.open(part_name(part.number, &part.etag)).ok()).flatten().ok_or_else(mismatch)?;
        loop {
            let taken = file.read(&mut buffer).map_err(ObjectFault::disk)?;
            if taken == 0 {
                break;
            }
            digester.update(&buffer[..taken]);
            expect.allows(digester.size())?;
            whole.write_all(&buffer[..taken]).map_err(ObjectFault::disk)?;
        }
    }
    whole.sync_all().map_err(ObjectFault::disk)?;
    let (size, sha256) = digester.finish();
    let written = Written { size, sha256 };
    expect.met_by(&written)?;
    Ok(written)
}

fn part_name(number: u32, etag: &str) -> String {
    format!("{number:05}-{etag}")
}
