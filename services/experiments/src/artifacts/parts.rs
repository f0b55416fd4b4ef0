//! Uploads in parts: each part goes to a signed address of its own, many at a time, and again after a crash.
//!
//! What was begun stands in a sealed token and in the object store, and nowhere else: an upload that is never completed
//! leaves nothing in the log, and its parts are swept.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use cairn_eventstore::Order;
use cairn_objects::{Action, Digest, Expect, Grant, Key, ObjectFault, PARTS_MAX, Part, UploadId, Written};
use cairn_service::{Ctx, Refusal, Writer, refuse};
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::grants::{Granted, once, unknown_upload};
use super::keep::new_key;
use super::{Artifacts, media_type_of};
use crate::model::artifact::{ArtifactPath, Command, Content, Owner};

/// How long an upload in parts may take, from its beginning to its completion.
///
/// INVARIANT: shorter than the age at which the sweep takes an upload for abandoned, and an object for unused.
pub const UPLOAD_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long the addresses of its parts are good at most.
pub const PART_LIFETIME_MAX: Duration = Duration::from_secs(6 * 3600);
/// Smallest part but the last: S3's own limit, for every store, so that a client need not know which it is.
pub const PART_BYTES_MIN: u64 = 5 << 20;

/// What purpose the tokens of such uploads are sealed for.
const PURPOSE: &str = "artifact upload in parts";

/// How many parts there will be.
#[derive(Clone, Debug)]
pub enum Plan {
    /// So many, of whatever content. MLflow's clients say no more.
    Count(u32),
    /// Of content that is known beforehand, cut into parts of one size.
    Known { size: u64, sha256: Digest, part_bytes: u64 },
}

/// A part's number, and where its bytes go.
pub struct Slot {
    pub number: u32,
    /// Its size, where the content is known.
    pub size: Option<u64>,
    /// Whether it has arrived. Only told where the content is known.
    pub is_stored: bool,
    /// Absent when it has arrived.
    pub granted: Option<Granted>,
}

/// An upload that was begun, as its token remembers it.
#[derive(Serialize, Deserialize)]
struct Begun {
    owner: String,
    path: String,
    object_key: String,
    /// What the object store calls it.
    upload: String,
    media_type: String,
    part_count: u32,
    known: Option<Known>,
    /// Microseconds since 1970.
    until: i64,
}

#[derive(Serialize, Deserialize)]
struct Known {
    size: u64,
    sha256: String,
    part_bytes: u64,
}

impl Plan {
    /// How many parts that is. Refuses what no store takes.
    fn part_count(&self, size_max: u64) -> Result<u32, Refusal> {
        let count = match self {
            Self::Count(count) => u64::from(*count),
            Self::Known { size, .. } if *size > size_max => {
                return Err(Refusal::of(&ObjectFault::TooLarge { size_max }));
            }
            Self::Known { part_bytes, .. } if *part_bytes < PART_BYTES_MIN => {
                return Err(Refusal::invalid("part_bytes", format!("must be at least {PART_BYTES_MIN}")));
            }
            Self::Known { size, part_bytes, .. } => size.div_ceil(*part_bytes).max(1),
        };
        match u32::try_from(count) {
            Ok(count @ 1..=PARTS_MAX) => Ok(count),
            _ => Err(Refusal::of(&ObjectFault::Parts {
                problem: format!("there must be 1 to {PARTS_MAX}, not {count}"),
            })),
        }
    }
}

impl Begun {
    fn key(&self) -> Result<(Key, UploadId), Status> {
        let key = self.object_key.parse().map_err(|fault| refuse(Refusal::internal(fault)))?;
        Ok((key, UploadId(self.upload.clone())))
    }

    /// Size of a part, where the content is known.
    fn part_size(&self, number: u32) -> Option<u64> {
        let known = self.known.as_ref()?;
        let before = u64::from(number - 1) * known.part_bytes;
        Some(known.part_bytes.min(known.size - before))
    }

    fn expect(&self, size_max: u64) -> Result<Expect, Status> {
        let Some(known) = &self.known else { return Ok(Expect::at_most(size_max)) };
        let sha256 = known.sha256.parse().map_err(|fault| refuse(Refusal::internal(fault)))?;
        Ok(Expect { size_max, size: Some(known.size), sha256: Some(sha256) })
    }
}

impl Artifacts {
    /// Begins an upload, and gives its token and how many parts it has.
    pub async fn begin_parts(
        &self,
        ctx: &Ctx,
        owner: &Owner,
        path: &ArtifactPath,
        media_type: Option<String>,
        plan: &Plan,
    ) -> Result<(String, u32), Status> {
        self.check_room(owner).await?;
        let part_count = plan.part_count(self.inner.size_max).map_err(refuse)?;
        // Of content that is not known, all that can be said is that there is room for some.
        let size = if let Plan::Known { size, .. } = plan { *size } else { 1 };
        self.left(ctx, owner, path).await?.check(size)?;
        let key = new_key(owner).map_err(refuse)?;
        let upload = self.inner.objects.begin(&key).await.map_err(refused)?;
        let known = match plan {
            Plan::Count(_) => None,
            Plan::Known { size, sha256, part_bytes } => {
                Some(Known { size: *size, sha256: sha256.to_string(), part_bytes: *part_bytes })
            }
        };
        let begun = Begun {
            owner: owner.to_string(),
            path: path.to_string(),
            object_key: key.to_string(),
            upload: upload.0,
            media_type: media_type.unwrap_or_else(|| media_type_of(path.file_name())),
            part_count,
            known,
            until: self.inner.clock.now().after(UPLOAD_LIFETIME).micros(),
        };
        let text = serde_json::to_vec(&begun).map_err(|fault| refuse(Refusal::internal(fault)))?;
        Ok((self.inner.signer.seal(PURPOSE, &text), part_count))
    }

    /// Addresses for parts of an upload, but for those that have arrived whole.
    pub async fn sign_parts(
        &self,
        owner: &Owner,
        token: &str,
        numbers: RangeInclusive<u32>,
        lifetime: Duration,
    ) -> Result<Vec<Slot>, Status> {
        let begun = self.begun_parts(owner, token)?;
        let (key, upload) = begun.key()?;
        let arrived = match begun.known {
            Some(_) => self.inner.objects.parts(&key, &upload).await.map_err(refused)?,
            None => vec![],
        };
        let arrived: HashMap<u32, u64> = arrived.iter().map(|part| (part.part.number, part.size)).collect();
        let now = self.inner.clock.now();
        let mut slots = vec![];
        for number in *numbers.start()..=*numbers.end().min(&begun.part_count) {
            let size = begun.part_size(number);
            let is_stored = size.is_some() && arrived.get(&number).copied() == size;
            let action = Action::PutPart { upload: upload.clone(), number, size };
            let grant = Grant { key: key.clone(), action, now, lifetime };
            let granted = if is_stored { None } else { Some(self.grant(grant).await?) };
            slots.push(Slot { number, size, is_stored, granted });
        }
        Ok(slots)
    }

    /// Puts the parts together and makes them the artifact: those named, or else all that have arrived. Repeating it
    /// changes nothing, also after a crash in the middle of it.
    ///
    /// Goes on when the caller's time is up: reading a large object once takes longer than any call may, and a caller who
    /// asks again waits for the end of that instead of beginning anew.
    pub async fn complete_parts(
        &self,
        ctx: &Ctx,
        order: Order,
        owner: &Owner,
        token: &str,
        parts: Option<Vec<Part>>,
    ) -> Result<ArtifactPath, Status> {
        let begun = self.begun_parts(owner, token)?;
        let (artifacts, ctx, owner) = (self.clone(), ctx.clone(), owner.clone());
        let writer = Writer::Operation(ctx.method());
        let finish = async move { artifacts.finish_parts(&ctx, order, &owner, begun, parts).await };
        let finished = tokio::spawn(writer.run(finish));
        finished.await.map_err(|fault| refuse(Refusal::internal(fault)))?
    }

    async fn finish_parts(
        &self,
        ctx: &Ctx,
        order: Order,
        owner: &Owner,
        begun: Begun,
        parts: Option<Vec<Part>>,
    ) -> Result<ArtifactPath, Status> {
        let path = ArtifactPath::stored(begun.path.clone());
        let _turn = self.inner.turns.take(&begun.object_key).await;
        if self.content(owner, &path).await.is_ok_and(|content| content.object_key == begun.object_key) {
            // Recorded by who asked before; the view may not have heard of it yet.
            let head = *self.inner.commands.store().head().borrow();
            self.inner.view.reached(head, ctx.deadline()).await.map_err(refuse)?;
            return Ok(path);
        }
        self.check_room(owner).await?;
        if let Some(known) = &begun.known {
            self.left(ctx, owner, &path).await?.check(known.size)?;
        }
        let written = self.put_together(&begun, parts).await?;
        // Refused, it can be completed later: put together it stays until the token ends.
        let _room = self.room(ctx, owner, &path, written.size).await?;
        let content = Content {
            object_key: begun.object_key.clone(),
            size: written.size,
            sha256: written.sha256.to_string(),
            media_type: begun.media_type,
        };
        let command = Command::Record { owner: owner.clone(), path: path.clone(), content };
        self.execute(ctx, once(order, &begun.object_key), owner, &path, cairn_kernel::Expected::Any, command).await?;
        Ok(path)
    }

    /// Forgets an upload and its parts. One that was completed stays.
    pub async fn abort_parts(&self, owner: &Owner, token: &str) -> Result<(), Status> {
        let begun = self.begun_parts(owner, token)?;
        let _turn = self.inner.turns.take(&begun.object_key).await;
        let (key, upload) = begun.key()?;
        self.inner.objects.abort(&key, &upload).await.map_err(refused)
    }

    /// Where an upload goes.
    pub fn upload_path(&self, owner: &Owner, token: &str) -> Result<ArtifactPath, Status> {
        Ok(ArtifactPath::stored(self.begun_parts(owner, token)?.path))
    }

    /// Whether a token is that of an upload in parts.
    pub fn is_in_parts(&self, token: &str) -> bool {
        self.inner.signer.unseal(PURPOSE, token).is_some()
    }

    async fn put_together(&self, begun: &Begun, parts: Option<Vec<Part>>) -> Result<Written, Status> {
        let (key, upload) = begun.key()?;
        let expect = begun.expect(self.inner.size_max)?;
        let objects = &self.inner.objects;
        let joined = match parts {
            Some(parts) => objects.complete(&key, &upload, &parts, expect).await,
            None => match objects.parts(&key, &upload).await {
                Ok(arrived) => {
                    let numbers = 1..=begun.part_count;
                    let missing =
                        numbers.zip(arrived.iter().map(|part| Some(part.part.number)).chain(std::iter::repeat(None)));
                    match missing.into_iter().find(|(number, arrived)| Some(*number) != *arrived) {
                        Some((number, _)) => Err(ObjectFault::PartMismatch { number }),
                        None => {
                            let parts: Vec<_> = arrived.into_iter().map(|arrived| arrived.part).collect();
                            objects.complete(&key, &upload, &parts, expect).await
                        }
                    }
                }
                Err(fault) => Err(fault),
            },
        };
        match joined {
            // Put together before, and the event or the answer was lost on the way: the object tells.
            Err(ObjectFault::UploadNotFound { .. }) => {
                let written = self.read_whole(&key).await.map_err(|_| unknown_upload())?;
                expect.met_by(&written).map_err(refused)?;
                Ok(written)
            }
            joined => joined.map_err(refused),
        }
    }

    fn begun_parts(&self, owner: &Owner, token: &str) -> Result<Begun, Status> {
        let text = self.inner.signer.unseal(PURPOSE, token).ok_or_else(unknown_upload)?;
        let begun: Begun = serde_json::from_slice(&text).map_err(|_| unknown_upload())?;
        if begun.owner != owner.as_str() || self.inner.clock.now().micros() > begun.until {
            return Err(unknown_upload());
        }
        Ok(begun)
    }
}

fn refused(fault: ObjectFault) -> Status {
    refuse(Refusal::of(&fault))
}
