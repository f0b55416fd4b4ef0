use std::time::Duration;

use cairn_eventstore::{Order, RequestKey};
use cairn_kernel::{Code, Expected, Time};
use cairn_objects::{Action, Digest, Digester, Expect, Grant, Key, ObjectFault, Signed, Written};
use cairn_service::{Ctx, Refusal, refuse};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tonic::Status;
use uuid::Uuid;

use super::keep::new_key;
use super::read::object_key;
use super::{Artifacts, media_type_of};
use crate::model::artifact::{ArtifactPath, Command, Content, Owner};

/// Longest life of a signed address.
pub const LIFETIME_MAX: Duration = Duration::from_secs(15 * 60);
/// How long after its address ended an upload may still be completed.
const COMPLETION: Duration = Duration::from_secs(24 * 3600);
/// Namespace of the ids by which completions are recognized.
const COMPLETIONS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_7570_6c6f_6164);
/// What upload tokens are sealed for.
const PURPOSE: &str = "artifact upload";

/// A signed address and its end.
pub struct Granted {
    pub signed: Signed,
    pub expire_time: Time,
}

/// An upload that was begun, as its token remembers it. Nothing is stored: the token is sealed.
#[derive(Serialize, Deserialize)]
struct Begun {
    owner: String,
    path: String,
    object_key: String,
    size: u64,
    sha256: String,
    media_type: String,
    /// Microseconds since 1970.
    until: i64,
}

impl Artifacts {
    /// An address that gives an artifact's bytes.
    pub async fn sign(&self, content: &Content, file_name: &str, lifetime: Duration) -> Result<Granted, Status> {
        let action =
            Action::Get { file_name: Some(file_name.to_owned()), media_type: Some(content.media_type.clone()) };
        self.grant(Grant { key: object_key(content)?, action, now: self.inner.clock.now(), lifetime }).await
    }

    /// A token and an address for bytes of a known size and digest.
    pub async fn begin(
        &self,
        ctx: &Ctx,
        owner: &Owner,
        path: &ArtifactPath,
        media_type: Option<String>,
        (size, sha256): (u64, Digest),
        lifetime: Duration,
    ) -> Result<(String, Granted), Status> {
        self.check_room(owner).await?;
        if size > self.inner.size_max {
            return Err(refuse(Refusal::of(&cairn_objects::ObjectFault::TooLarge { size_max: self.inner.size_max })));
        }
        self.left(ctx, owner, path).await?.check(size)?;
        let (key, now) = (new_key(owner).map_err(refuse)?, self.inner.clock.now());
        let begun = Begun {
            owner: owner.to_string(),
            path: path.to_string(),
            object_key: key.to_string(),
            size,
            sha256: sha256.to_string(),
            media_type: media_type.unwrap_or_else(|| media_type_of(path.file_name())),
            until: now.after(lifetime).after(COMPLETION).micros(),
        };
        let text = serde_json::to_vec(&begun).map_err(|fault| refuse(Refusal::internal(fault)))?;
        let token = self.inner.signer.seal(PURPOSE, &text);
        let action = Action::Put { size: Some(size), sha256: Some(sha256) };
        Ok((token, self.grant(Grant { key, action, now, lifetime }).await?))
    }

    /// Makes what was sent to an upload's address the artifact. The bytes are read once, against the digest announced.
    pub async fn complete(&self, ctx: &Ctx, order: Order, owner: &Owner, token: &str) -> Result<ArtifactPath, Status> {
        let text = self.inner.signer.unseal(PURPOSE, token).ok_or_else(unknown_upload)?;
        let begun: Begun = serde_json::from_slice(&text).map_err(|_| unknown_upload())?;
        if begun.owner != owner.as_str() || self.inner.clock.now().micros() > begun.until {
            return Err(unknown_upload());
        }
        let path = ArtifactPath::stored(begun.path);
        let content = Content {
            object_key: begun.object_key,
            size: begun.size,
            sha256: begun.sha256,
            media_type: begun.media_type,
        };
        self.check_room(owner).await?;
        // Refused, it can be completed later: the bytes stay until the token ends. Room is kept only once they were read.
        self.left(ctx, owner, &path).await?.check(content.size)?;
        self.check_stored(&content).await?;
        let _room = self.room(ctx, owner, &path, content.size).await?;
        let order = once(order, &content.object_key);
        let command = Command::Record { owner: owner.clone(), path: path.clone(), content };
        self.execute(ctx, order, owner, &path, Expected::Any, command).await?;
        Ok(path)
    }

    /// Refuses an object that is not what was announced.
    async fn check_stored(&self, content: &Content) -> Result<(), Status> {
        let written = self.read_whole(&object_key(content)?).await.map_err(|fault| refuse(Refusal::of(&fault)))?;
        let sha256 = content.sha256.parse().map_err(|fault| refuse(Refusal::internal(fault)))?;
        let expect = Expect { size_max: self.inner.size_max, size: Some(content.size), sha256: Some(sha256) };
        expect.met_by(&written).map_err(|fault| refuse(Refusal::of(&fault)))
    }

    /// Reads an object to its end, for its size and digest.
    pub(super) async fn read_whole(&self, key: &Key) -> Result<Written, ObjectFault> {
        let mut body = self.inner.objects.get(key, None).await?.body;
        let mut digester = Digester::default();
        while let Some(piece) =
            body.try_next().await.map_err(|fault| ObjectFault::Damaged { problem: fault.to_string() })?
        {
            digester.update(&piece);
        }
        let (size, sha256) = digester.finish();
        Ok(Written { size, sha256 })
    }

    pub(super) async fn grant(&self, grant: Grant) -> Result<Granted, Status> {
        let signed = self.inner.objects.presign(&grant).await.map_err(|fault| refuse(Refusal::of(&fault)))?;
        Ok(Granted { signed, expire_time: grant.now.after(grant.lifetime) })
    }
}

/// Recognizes the completion of an upload by the object it made, whoever sends it again: otherwise an old one would
/// bring back what has been replaced or deleted since.
pub(super) fn once(order: Order, object_key: &str) -> Order {
    let id = Uuid::new_v5(&COMPLETIONS, object_key.as_bytes());
    Order { request: Some(RequestKey { id, hash: object_key.to_owned() }), ..order }
}

pub(super) fn unknown_upload() -> Status {
    let message = "there is no such upload, or it was begun too long ago";
    refuse(Refusal::new(Code::NotFound, "UPLOAD_NOT_FOUND", message))
}
