use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use async_trait::async_trait;
use bytes::Bytes;
use cairn_kernel::Time;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::store::{check_parts, cut};
use crate::{
    Arrived, Body, Digest, Expect, Grant, Key, Listed, Listing, Object, ObjectFault, ObjectStore, PAGE_MAX, Part,
    Signed, Signer, Unfinished, UploadId, Written, collect, of_bytes,
};

/// Keeps objects in memory, for tests. Nothing survives it.
pub struct Memory {
    signer: Signer,
    objects: Mutex<BTreeMap<Key, Bytes>>,
    uploads: Mutex<BTreeMap<String, Upload>>,
}

struct Upload {
    key: Key,
    parts: BTreeMap<u32, Bytes>,
}

impl Memory {
    /// An empty store.
    pub fn new(signer: Signer) -> Self {
        Self { signer, objects: Mutex::default(), uploads: Mutex::default() }
    }

    fn object(&self, key: &Key) -> Result<Bytes, ObjectFault> {
        self.objects.lock().get(key).cloned().ok_or_else(|| ObjectFault::NotFound { key: key.clone() })
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn put(&self, key: &Key, body: Body, expect: Expect) -> Result<Written, ObjectFault> {
        let bytes = collect(body, expect.size_max).await?;
        let written = Written { size: bytes.len() as u64, sha256: Digest::of(&bytes) };
        expect.met_by(&written)?;
        self.objects.lock().insert(key.clone(), bytes);
        Ok(written)
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object, ObjectFault> {
        let bytes = self.object(key)?;
        let size = bytes.len() as u64;
        let range = cut(key, range, size)?;
        Ok(Object { size, body: of_bytes(bytes.slice(range.start as usize..range.end as usize)) })
    }

    async fn head(&self, key: &Key) -> Result<Listed, ObjectFault> {
        Ok(listed(key, &self.object(key)?))
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Listing, ObjectFault> {
        let limit = limit.min(PAGE_MAX);
        let objects = self.objects.lock();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut wanted = objects.range((start, Bound::Unbounded)).filter(|(key, _)| key.as_str().starts_with(prefix));
        let page: Vec<_> = wanted.by_ref().take(limit).map(|(key, bytes)| listed(key, bytes)).collect();
        let next = wanted.next().and_then(|_| page.last()).map(|last| last.key.clone());
        Ok(Listing { objects: page, next })
    }

    async fn delete(&self, key: &Key) -> Result<(), ObjectFault> {
        self.objects.lock().remove(key);
        Ok(())
    }

    async fn begin(&self, key: &Key) -> Result<UploadId, ObjectFault> {
        let id = Uuid::new_v4().simple().to_string();
        self.uploads.lock().insert(id.clone(), Upload { key: key.clone(), parts: BTreeMap::new() });
        Ok(UploadId(id))
    }

    async fn put_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        body: Body,
        expect: Expect,
    ) -> Result<Part, ObjectFault> {
        let bytes = collect(body, expect.size_max).await?;
        let written = Written { size: bytes.len() as u64, sha256: Digest::of(&bytes) };
        expect.met_by(&written)?;
        let part = Part { number, etag: written.sha256.to_string() };
        check_parts(std::slice::from_ref(&part))?;
        let mut uploads = self.uploads.lock();
        let found = uploads.get_mut(&upload.0).filter(|upload| upload.key == *key);
        found.ok_or_else(|| unknown(key, upload))?.parts.insert(number, bytes);
        Ok(part)
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Arrived>, ObjectFault> {
        let uploads = self.uploads.lock();
        let found = uploads.get(&upload.0).filter(|upload| upload.key == *key).ok_or_else(|| unknown(key, upload))?;
        let arrived = |(number, bytes): (&u32, &Bytes)| Arrived {
            part: Part { number: *number, etag: Digest::of(bytes).to_string() },
            size: bytes.len() as u64,
        };
        Ok(found.parts.iter().map(arrived).collect())
    }

    async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        expect: Expect,
    ) -> Result<Written, ObjectFault> {
        check_parts(parts)?;
        let mut uploads = self.uploads.lock();
        let found = uploads.get(&upload.0).filter(|upload| upload.key == *key).ok_or_else(|| unknown(key, upload))?;
        let mut whole = Vec::new();
        for part in parts {
            let bytes = found.parts.get(&part.number).filter(|bytes| Digest::of(bytes).to_string() == part.etag);
            whole.extend_from_slice(bytes.ok_or(ObjectFault::PartMismatch { number: part.number })?);
        }
        let written = Written { size: whole.len() as u64, sha256: Digest::of(&whole) };
        expect.met_by(&written)?;
        self.objects.lock().insert(key.clone(), whole.into());
        uploads.remove(&upload.0);
        Ok(written)
    }

    async fn abort(&self, key: &Key, upload: &UploadId) -> Result<(), ObjectFault> {
        let mut uploads = self.uploads.lock();
        if uploads.get(&upload.0).is_some_and(|upload| upload.key == *key) {
            uploads.remove(&upload.0);
        }
        Ok(())
    }

    async fn unfinished(&self, before: Time) -> Result<Vec<Unfinished>, ObjectFault> {
        let uploads = self.uploads.lock();
        // As old as can be, like its objects.
        let time = Time::default();
        let all = uploads.iter().filter(|_| time < before).take(PAGE_MAX);
        let unfinished = |(id, upload): (&String, &Upload)| Unfinished {
            key: upload.key.clone(),
            upload: UploadId(id.clone()),
            time,
        };
        Ok(all.map(unfinished).collect())
    }

    async fn presign(&self, grant: &Grant) -> Result<Signed, ObjectFault> {
        Ok(self.signer.sign(grant))
    }

    fn is_direct(&self) -> bool {
        false
    }
}

fn listed(key: &Key, bytes: &Bytes) -> Listed {
    Listed { key: key.clone(), size: bytes.len() as u64, modify_time: Time::default() }
}

fn unknown(key: &Key, upload: &UploadId) -> ObjectFault {
    ObjectFault::UploadNotFound { key: key.clone(), upload: upload.to_string() }
}
