use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use cairn_kernel::Time;

use crate::{Body, Digest, Grant, Key, ObjectFault, Signed};

/// Most objects on one page of a listing.
pub const PAGE_MAX: usize = 1000;
/// Most parts of one upload.
pub const PARTS_MAX: u32 = 10_000;

/// What the sender says the content is. What it turns out not to be is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Largest size taken. Reading stops beyond it.
    pub size_max: u64,
    pub size: Option<u64>,
    pub sha256: Option<Digest>,
}

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub size: u64,
    pub sha256: Digest,
}

/// An object's bytes.
pub struct Object {
    /// Size of the whole object, whatever part of it was asked for.
    pub size: u64,
    pub body: Body,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: Key,
    pub size: u64,
    pub modify_time: Time,
}

/// One page of a listing, in the order of the keys' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub objects: Vec<Listed>,
    /// Ask for what comes after it. `None`: this was the last page.
    pub next: Option<Key>,
}

/// Names an upload in parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(pub String);

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1; parts are put together in the order of their numbers.
    pub number: u32,
    /// What the store answered: names these bytes of this part.
    pub etag: String,
}

/// A part that has arrived, as the store tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub part: Part,
    pub size: u64,
}

/// An upload that nobody has completed or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub key: Key,
    pub upload: UploadId,
    /// When it last took a part, or when it began, whichever the store knows.
    pub time: Time,
}

/// Keeps objects under keys.
///
/// An object is written whole or not at all: a reader sees the old bytes or the new ones, and what was acknowledged is
/// on the disk (or wherever the store promises).
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores a body, replacing what is there. Reads it as it comes, in constant memory.
    async fn put(&self, key: &Key, body: Body, expect: Expect) -> Result<Written, ObjectFault>;

    /// An object's bytes, or a range of them. A range that ends beyond the end is cut.
    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object, ObjectFault>;

    /// What a listing would say of one object.
    async fn head(&self, key: &Key) -> Result<Listed, ObjectFault>;

    /// Objects whose key starts with `prefix` (any text), after a key, at most `limit` and never more than [`PAGE_MAX`].
    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Listing, ObjectFault>;

    /// Removes an object. One that is not there is success.
    async fn delete(&self, key: &Key) -> Result<(), ObjectFault>;

    /// Begins an upload in parts.
    async fn begin(&self, key: &Key) -> Result<UploadId, ObjectFault>;

    /// Takes one part, replacing an earlier one of the same number. All but the last need 5 MiB on S3.
    async fn put_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        body: Body,
        expect: Expect,
    ) -> Result<Part, ObjectFault>;

    /// The parts that have arrived, in the order of their numbers; of a number sent twice, the later one. A client
    /// that lost its own notes goes on from here.
    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Arrived>, ObjectFault>;

    /// Puts the named parts together, and reads the result once, for its digest. What it turns out not to be is not
    /// kept.
    async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        expect: Expect,
    ) -> Result<Written, ObjectFault>;

    /// Forgets an upload and its parts. One that is not there is success.
    async fn abort(&self, key: &Key, upload: &UploadId) -> Result<(), ObjectFault>;

    /// Uploads that have been left alone since `before`, at most [`PAGE_MAX`] of them.
    async fn unfinished(&self, before: Time) -> Result<Vec<Unfinished>, ObjectFault>;

    /// An address that does one thing to one key, for a while, without a credential.
    async fn presign(&self, grant: &Grant) -> Result<Signed, ObjectFault>;

    /// Whether presigned addresses lead to the store itself, past this process.
    fn is_direct(&self) -> bool;
}

impl Expect {
    /// Anything up to a size.
    pub fn at_most(size_max: u64) -> Self {
        Self { size_max, size: None, sha256: None }
    }

    /// Judges how much has come so far.
    pub(crate) fn allows(&self, size: u64) -> Result<(), ObjectFault> {
        if size > self.size_max {
            return Err(ObjectFault::TooLarge { size_max: self.size_max });
        }
        Ok(())
    }

    /// Judges what has come once it is all there.
    pub fn met_by(&self, written: &Written) -> Result<(), ObjectFault> {
        self.allows(written.size)?;
        if let Some(expected) = self.size.filter(|size| *size != written.size) {
            return Err(ObjectFault::SizeMismatch { size: written.size, expected });
        }
        if let Some(expected) = self.sha256.filter(|sha256| *sha256 != written.sha256) {
            return Err(ObjectFault::DigestMismatch { sha256: written.sha256, expected });
        }
        Ok(())
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of a range that an object of this size has.
pub(crate) fn cut(key: &Key, range: Option<Range<u64>>, size: u64) -> Result<Range<u64>, ObjectFault> {
    let Some(range) = range else { return Ok(0..size) };
    if range.start > size || (range.start == size && size > 0) || range.end < range.start {
        return Err(ObjectFault::Range { key: key.clone(), size });
    }
    Ok(range.start..range.end.min(size))
}

/// Parts must be numbered from 1 upwards, without one twice.
pub(crate) fn check_parts(parts: &[Part]) -> Result<(), ObjectFault> {
    let fault = |problem: &str| Err(ObjectFault::Parts { problem: problem.to_owned() });
    if parts.is_empty() {
        return fault("there are none");
    }
    if parts.iter().any(|part| part.number == 0 || part.number > PARTS_MAX) {
        return fault("numbers go from 1 to 10000");
    }
    if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return fault("numbers must ascend");
    }
    Ok(())
}
