mod disk;
mod uploads;
mod walk;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_kernel::Time;
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use crate::store::cut;
use crate::{
    Arrived, Body, Digester, Expect, Grant, Key, Listed, Listing, Object, ObjectFault, ObjectStore, PAGE_MAX, Part,
    Signed, Signer, Unfinished, UploadId, Written,
};
use disk::Disk;

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 * 1024;
/// Bytes held back before a file is written.
const WRITE_BYTES: usize = 256 * 1024;

/// Keeps objects as files below one folder.
///
/// INVARIANT: every file is opened below a handle of the root folder, part by part, never by joining strings, and a
/// symbolic link that leads out of it is not followed. A file appears under its key only by a rename, after its bytes
/// are on the disk.
pub struct Folder {
    disk: Arc<Disk>,
    signer: Signer,
}

impl Folder {
    /// Opens a folder, making it if need be. Leftovers of writers that have ended are removed;
    /// those of others who work on the same folder stay.
    pub fn open(root: &Path, signer: Signer) -> io::Result<Self> {
        Ok(Self { disk: Arc::new(Disk::open(root)?), signer })
    }

    /// Runs something that blocks where blocking is fine.
    async fn blocking<T, F>(&self, act: F) -> Result<T, ObjectFault>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Result<T, ObjectFault> + Send + 'static,
    {
        let disk = self.disk.clone();
        let done = tokio::task::spawn_blocking(move || act(&disk)).await;
        done.map_err(|fault| ObjectFault::Unavailable { problem: fault.to_string() })?
    }

    /// Writes a body to a draft: a file with a name of its own that nobody else sees.
    async fn draft(&self, mut body: Body, expect: Expect) -> Result<(Draft, Written), ObjectFault> {
        let (name, file) = self.blocking(Disk::create_draft).await?;
        let lock = file.try_clone().map_err(ObjectFault::disk)?;
        let draft = Draft { disk: self.disk.clone(), name, is_kept: false, _lock: lock };
        let mut file = tokio::io::BufWriter::with_capacity(WRITE_BYTES, tokio::fs::File::from_std(file));
        let mut digester = Digester::default();
        while let Some(piece) = body.try_next().await.map_err(ObjectFault::interrupted)? {
            digester.update(&piece);
            expect.allows(digester.size())?;
            file.write_all(&piece).await.map_err(ObjectFault::disk)?;
        }
        file.flush().await.map_err(ObjectFault::disk)?;
        file.get_ref().sync_all().await.map_err(ObjectFault::disk)?;
        let (size, sha256) = digester.finish();
        let written = Written { size, sha256 };
        expect.met_by(&written)?;
        Ok((draft, written))
    }
}

/// A file nobody sees yet. Dropped, it is gone.
struct Draft {
    disk: Arc<Disk>,
    name: String,
    is_kept: bool,
    /// Keeps others who open the folder from removing it.
    _lock: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            self.disk.remove_draft(&self.name);
        }
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put(&self, key: &Key, body: Body, expect: Expect) -> Result<Written, ObjectFault> {
        let (mut draft, written) = self.draft(body, expect).await?;
        let (name, key) = (draft.name.clone(), key.clone());
        self.blocking(move |disk| disk.keep(&name, &key)).await?;
        draft.is_kept = true;
        Ok(written)
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object, ObjectFault> {
        let wanted = key.clone();
        let (file, size) = self.blocking(move |disk| disk.read(&wanted)).await?;
        let range = cut(key, range, size)?;
        let mut file = tokio::fs::File::from_std(file);
        if range.start > 0 {
            file.seek(io::SeekFrom::Start(range.start)).await.map_err(ObjectFault::disk)?;
        }
        let reader = file.take(range.end - range.start);
        Ok(Object { size, body: Box::pin(ReaderStream::with_capacity(reader, READ_BYTES)) })
    }

    async fn head(&self, key: &Key) -> Result<Listed, ObjectFault> {
        let key = key.clone();
        self.blocking(move |disk| disk.head(&key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Listing, ObjectFault> {
        let (prefix, after, limit) = (prefix.to_owned(), after.cloned(), limit.min(PAGE_MAX));
        self.blocking(move |disk| walk::list(disk, &prefix, after.as_ref(), limit)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), ObjectFault> {
        let key = key.clone();
        self.blocking(move |disk| disk.remove(&key)).await
    }

    async fn begin(&self, key: &Key) -> Result<UploadId, ObjectFault> {
        let key = key.clone();
        self.blocking(move |disk| uploads::begin(disk, &key)).await
    }

    async fn put_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        body: Body,
        expect: Expect,
    ) -> Result<Part, ObjectFault> {
        let part = Part { number, etag: String::new() };
        crate::store::check_parts(std::slice::from_ref(&part))?;
        let (checked, id) = (key.clone(), upload.clone());
        self.blocking(move |disk| uploads::check(disk, &checked, &id)).await?;
        let (mut draft, written) = self.draft(body, expect).await?;
        let (name, key, upload) = (draft.name.clone(), key.clone(), upload.clone());
        self.blocking(move |disk| uploads::keep_part(disk, &name, &key, &upload, number, &written)).await?;
        draft.is_kept = true;
        Ok(Part { etag: written.sha256.to_string(), ..part })
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Arrived>, ObjectFault> {
        let (key, upload) = (key.clone(), upload.clone());
        self.blocking(move |disk| uploads::parts(disk, &key, &upload)).await
    }

    async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        expect: Expect,
    ) -> Result<Written, ObjectFault> {
        crate::store::check_parts(parts)?;
        let (key, upload, parts) = (key.clone(), upload.clone(), parts.to_vec());
        self.blocking(move |disk| uploads::complete(disk, &key, &upload, &parts, &expect)).await
    }

    async fn abort(&self, key: &Key, upload: &UploadId) -> Result<(), ObjectFault> {
        let (key, upload) = (key.clone(), upload.clone());
        self.blocking(move |disk| uploads::abort(disk, &key, &upload)).await
    }

    async fn unfinished(&self, before: Time) -> Result<Vec<Unfinished>, ObjectFault> {
        self.blocking(move |disk| uploads::unfinished(disk, before)).await
    }

    async fn presign(&self, grant: &Grant) -> Result<Signed, ObjectFault> {
        Ok(self.signer.sign(grant))
    }

    fn is_direct(&self) -> bool {
        false
    }
}
