mod fault;
mod settings;
mod upload;

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MultipartUpload, Object as Entry};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_kernel::Time;
use futures::TryStreamExt;
use tokio_util::io::ReaderStream;

use crate::store::{check_parts, cut};
use crate::{
    Action, Arrived, Body, Digest, Digester, Expect, Grant, Key, Listed, Listing, Object, ObjectFault, ObjectStore,
    PAGE_MAX, Part, Signed, Unfinished, UploadId, Written, collect,
};
use fault::{is_missing, unavailable};
pub use settings::{Secret, Settings};
use upload::Pieces;

/// Keeps objects in a bucket of anything that speaks S3, below a prefix.
pub struct S3 {
    client: Client,
    bucket: String,
    prefix: Option<Key>,
}

impl S3 {
    /// A store in a bucket that exists already. Nothing is asked of the server yet.
    pub async fn connect(bucket: &str, prefix: Option<Key>, settings: &Settings) -> Self {
        Self { client: settings.client().await, bucket: bucket.to_owned(), prefix }
    }

    /// The key as the bucket knows it.
    fn place(&self, key: &Key) -> String {
        self.prefix.as_ref().map_or_else(|| key.to_string(), |prefix| format!("{prefix}/{key}"))
    }

    /// Our key of what the bucket knows under this one. `None`: it was not put there by us.
    fn key(&self, place: &str) -> Option<Key> {
        let key = match &self.prefix {
            Some(prefix) => place.strip_prefix(prefix.as_str())?.strip_prefix('/')?,
            None => place,
        };
        key.parse().ok()
    }

    async fn put_whole(&self, key: &Key, bytes: bytes::Bytes, sha256: &Digest) -> Result<(), ObjectFault> {
        // The digest travels along: the server refuses what was damaged on its way.
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.place(key))
            .content_length(bytes.len() as i64)
            .checksum_sha256(STANDARD.encode(sha256.as_bytes()))
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// Sends a body in pieces, one after the other.
    async fn put_pieces(
        &self,
        key: &Key,
        upload: &UploadId,
        pieces: &mut Pieces,
        first: bytes::Bytes,
    ) -> Result<Vec<Part>, ObjectFault> {
        let mut parts = vec![];
        let mut next = Some(first);
        while let Some(piece) = next {
            let number = parts.len() as u32 + 1;
            parts.push(self.send_part(key, upload, number, piece).await?);
            next = pieces.next().await?;
        }
        Ok(parts)
    }

    async fn send_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        bytes: bytes::Bytes,
    ) -> Result<Part, ObjectFault> {
        let sent = self.client.upload_part().bucket(&self.bucket).key(self.place(key)).upload_id(&upload.0);
        let sent = sent
            .part_number(number as i32)
            .content_length(bytes.len() as i64)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|fault| fault::of_upload(key, upload, fault))?;
        Ok(Part { number, etag: sent.e_tag().unwrap_or_default().to_owned() })
    }

    async fn join(&self, key: &Key, upload: &UploadId, parts: &[Part]) -> Result<(), ObjectFault> {
        let parts =
            parts.iter().map(|part| CompletedPart::builder().part_number(part.number as i32).e_tag(&part.etag).build());
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.place(key))
            .upload_id(&upload.0)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build())
            .send()
            .await
            .map_err(|fault| fault::of_upload(key, upload, fault))?;
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for S3 {
    async fn put(&self, key: &Key, body: Body, expect: Expect) -> Result<Written, ObjectFault> {
        let mut pieces = Pieces::new(body, expect);
        let first = pieces.next().await?.unwrap_or_default();
        if pieces.is_end() {
            // Small enough for one request, which is atomic by itself.
            let written = pieces.finish()?;
            self.put_whole(key, first, &written.sha256).await?;
            return Ok(written);
        }
        let upload = self.begin(key).await?;
        let sent = match self.put_pieces(key, &upload, &mut pieces, first).await {
            // Judged before the parts become an object.
            Ok(parts) => match pieces.finish() {
                Ok(written) => self.join(key, &upload, &parts).await.map(|()| written),
                Err(fault) => Err(fault),
            },
            Err(fault) => Err(fault),
        };
        if sent.is_err() {
            // Best effort: the bucket's lifecycle rule removes what is left when this fails too.
            if let Err(fault) = self.abort(key, &upload).await {
                tracing::warn!(%key, %fault, "an upload could not be given up");
            }
        }
        sent
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object, ObjectFault> {
        let size = self.head(key).await?.size;
        let range = cut(key, range, size)?;
        if range.is_empty() {
            return Ok(Object { size, body: crate::of_bytes(bytes::Bytes::new()) });
        }
        let mut request = self.client.get_object().bucket(&self.bucket).key(self.place(key));
        if range != (0..size) {
            request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
        }
        let answer = request.send().await.map_err(|fault| fault::of_object(key, fault))?;
        Ok(Object { size, body: Box::pin(ReaderStream::with_capacity(answer.body.into_async_read(), 64 * 1024)) })
    }

    async fn head(&self, key: &Key) -> Result<Listed, ObjectFault> {
        let answer = self.client.head_object().bucket(&self.bucket).key(self.place(key)).send().await;
        let answer = answer.map_err(|fault| fault::of_object(key, fault))?;
        Ok(Listed {
            key: key.clone(),
            size: u64::try_from(answer.content_length().unwrap_or_default()).unwrap_or_default(),
            modify_time: answer.last_modified().map(time).unwrap_or_default(),
        })
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Listing, ObjectFault> {
        if limit == 0 {
            return Ok(Listing::default());
        }
        let prefix = self.prefix.as_ref().map_or_else(|| prefix.to_owned(), |root| format!("{root}/{prefix}"));
        let mut start = after.map(|after| self.place(after));
        loop {
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
            let request = request.set_start_after(start).max_keys(limit.min(PAGE_MAX) as i32);
            let answer = request.send().await.map_err(unavailable)?;
            let has_more = answer.is_truncated().unwrap_or_default();
            let objects: Vec<Listed> = answer.contents().iter().filter_map(|entry| self.listed(entry)).collect();
            if !objects.is_empty() || !has_more {
                let next = objects.last().filter(|_| has_more).map(|last| last.key.clone());
                return Ok(Listing { objects, next });
            }
            // A page of what others put there: go on behind it.
            start = answer.contents().last().and_then(|entry| entry.key()).map(str::to_owned);
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), ObjectFault> {
        match self.client.delete_object().bucket(&self.bucket).key(self.place(key)).send().await {
            Err(fault) if !is_missing(&fault) => Err(unavailable(fault)),
            _ => Ok(()),
        }
    }

    async fn begin(&self, key: &Key) -> Result<UploadId, ObjectFault> {
        let begun = self.client.create_multipart_upload().bucket(&self.bucket).key(self.place(key)).send().await;
        let begun = begun.map_err(unavailable)?;
        let id = begun.upload_id().ok_or_else(|| ObjectFault::Unavailable {
            problem: "the store began an upload without naming it".to_owned(),
        })?;
        Ok(UploadId(id.to_owned()))
    }

    async fn put_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        body: Body,
        expect: Expect,
    ) -> Result<Part, ObjectFault> {
        check_parts(&[Part { number, etag: String::new() }])?;
        // A part is one request with a known length, so it has to be held once.
        let bytes = collect(body, expect.size_max.min(upload::PIECE_BYTES_MAX)).await?;
        expect.met_by(&Written { size: bytes.len() as u64, sha256: Digest::of(&bytes) })?;
        self.send_part(key, upload, number, bytes).await
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Arrived>, ObjectFault> {
        let (mut arrived, mut marker) = (vec![], None);
        loop {
            let request = self.client.list_parts().bucket(&self.bucket).key(self.place(key)).upload_id(&upload.0);
            let answer = request.set_part_number_marker(marker).send().await;
            let answer = answer.map_err(|fault| fault::of_upload(key, upload, fault))?;
            arrived.extend(answer.parts().iter().map(|part| Arrived {
                part: Part {
                    number: part.part_number().unwrap_or_default().cast_unsigned(),
                    etag: part.e_tag().unwrap_or_default().to_owned(),
                },
                size: part.size().unwrap_or_default().cast_unsigned(),
            }));
            marker = answer.next_part_number_marker().map(str::to_owned);
            if !answer.is_truncated().unwrap_or_default() || marker.is_none() {
                arrived.sort_unstable_by_key(|arrived: &Arrived| arrived.part.number);
                return Ok(arrived);
            }
        }
    }

    async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        expect: Expect,
    ) -> Result<Written, ObjectFault> {
        check_parts(parts)?;
        self.join(key, upload, parts).await?;
        // S3 knows no digest of the whole: it is read once, without being held.
        let mut body = self.get(key, None).await?.body;
        let mut digester = Digester::default();
        while let Some(piece) = body.try_next().await.map_err(ObjectFault::interrupted)? {
            digester.update(&piece);
        }
        let (size, sha256) = digester.finish();
        let written = Written { size, sha256 };
        if let Err(fault) = expect.met_by(&written) {
            self.delete(key).await?;
            return Err(fault);
        }
        Ok(written)
    }

    async fn abort(&self, key: &Key, upload: &UploadId) -> Result<(), ObjectFault> {
        let aborted = self.client.abort_multipart_upload().bucket(&self.bucket).key(self.place(key));
        match aborted.upload_id(&upload.0).send().await {
            Err(fault) if !is_missing(&fault) => Err(unavailable(fault)),
            _ => Ok(()),
        }
    }

    async fn unfinished(&self, before: Time) -> Result<Vec<Unfinished>, ObjectFault> {
        let prefix = self.prefix.as_ref().map(|prefix| format!("{prefix}/"));
        let (mut found, mut after) = (vec![], (None, None));
        loop {
            let request = self.client.list_multipart_uploads().bucket(&self.bucket).set_prefix(prefix.clone());
            let request = request.set_key_marker(after.0).set_upload_id_marker(after.1);
            let answer = request.send().await.map_err(unavailable)?;
            found.extend(
                answer.uploads().iter().filter_map(|upload| self.begun(upload)).filter(|upload| upload.time < before),
            );
            after = (answer.next_key_marker().map(str::to_owned), answer.next_upload_id_marker().map(str::to_owned));
            if found.len() >= PAGE_MAX || after.0.is_none() || !answer.is_truncated().unwrap_or_default() {
                found.truncate(PAGE_MAX);
                return Ok(found);
            }
        }
    }

    async fn presign(&self, grant: &Grant) -> Result<Signed, ObjectFault> {
        let unsigned = |problem: String| ObjectFault::Unsigned { problem };
        let start = UNIX_EPOCH + Duration::from_micros(grant.now.micros().try_into().unwrap_or_default());
        let window = PresigningConfig::builder().start_time(start).expires_in(grant.lifetime).build();
        let window = window.map_err(|fault| unsigned(fault.to_string()))?;
        let (bucket, place) = (&self.bucket, self.place(&grant.key));
        let request = match &grant.action {
            Action::Get { file_name, media_type } => {
                let request = self.client.get_object().bucket(bucket).key(place);
                let shown = file_name.as_deref().map(crate::grant::attachment);
                let request = request.set_response_content_disposition(shown);
                request.set_response_content_type(media_type.clone()).presigned(window).await.map_err(failed)
            }
            Action::Put { size, sha256 } => {
                let request = self.client.put_object().bucket(bucket).key(place);
                let request = request.set_content_length(size.map(|size| size as i64));
                let sha256 = sha256.map(|sha256| STANDARD.encode(sha256.as_bytes()));
                request.set_checksum_sha256(sha256).presigned(window).await.map_err(failed)
            }
            Action::PutPart { upload, number, size } => {
                let request = self.client.upload_part().bucket(bucket).key(place).upload_id(&upload.0);
                let request = request.set_content_length(size.map(|size| size as i64));
                request.part_number(*number as i32).presigned(window).await.map_err(failed)
            }
        };
        let request = request.map_err(unsigned)?;
        let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Signed { url: request.uri().to_owned(), headers })
    }

    fn is_direct(&self) -> bool {
        true
    }
}

impl S3 {
    fn begun(&self, upload: &MultipartUpload) -> Option<Unfinished> {
        Some(Unfinished {
            key: self.key(upload.key()?)?,
            upload: UploadId(upload.upload_id()?.to_owned()),
            time: upload.initiated().map(time)?,
        })
    }

    fn listed(&self, entry: &Entry) -> Option<Listed> {
        Some(Listed {
            key: self.key(entry.key()?)?,
            size: u64::try_from(entry.size().unwrap_or_default()).unwrap_or_default(),
            modify_time: entry.last_modified().map(time).unwrap_or_default(),
        })
    }
}

/// When something was, as S3 says it.
fn time(time: &aws_sdk_s3::primitives::DateTime) -> Time {
    Time::from_seconds_and_nanos(time.secs(), time.subsec_nanos() as i32)
}

fn failed<E: std::error::Error + 'static, R: std::fmt::Debug>(fault: aws_sdk_s3::error::SdkError<E, R>) -> String {
    aws_sdk_s3::error::DisplayErrorContext(&fault).to_string()
}
