use std::time::Duration;

use cairn_eventstore::Order;
use cairn_kernel::{Code, Time};
use cairn_objects::{Action, Digest, Grant, Signed};
use cairn_service::{Ctx, Refusal, refuse};
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::keep::new_key;
use super::read::object_key;
use super::{Artifacts, media_type_of};
use crate::model::artifact::{ArtifactPath, Content, Owner};

/// Longest life of a signed address.
pub const LIFETIME_MAX: Duration = Duration::from_secs(15 * 60);
/// How long after its address ended an upload may still be completed.
const COMPLETION: Duration = Duration::from_secs(24 * 3600);
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
        let unknown = || {
            let message = "there is no such upload, or it was begun too long ago";
            refuse(Refusal::new(Code::NotFound, "UPLOAD_NOT_FOUND", message))
        };
        let text = self.inner.signer.unseal(PURPOSE, token).ok_or_else(unknown)?;
        let begun: Begun = serde_json::from_slice(&text).map_err(|_| unknown())?;
        if begun.owner != owner.as_str() || self.inner.clock.now().micros() > begun.until {
            return Err(unknown());
        }
        let path = ArtifactPath::stored(begun.path);
        let content = Content {
            object_key: begun.object_key,
            size: begun.size,
            sha256: begun.sha256,
            media_type: begun.media_type,
        };
        self.check_room(owner).await?;
        self.check_stored(&content).await?;
        self.record(ctx, order, owner, &path, content).await?;
        Ok(path)
    }

    /// Reads an object to its end: it is there, and what it should be.
    async fn check_stored(&self, content: &Content) -> Result<(), Status> {
        let key = object_key(content)?;
        let refused = |fault: cairn_objects::ObjectFault| refuse(Refusal::of(&fault));
        let mut body = self.inner.objects.get(&key, None).await.map_err(refused)?.body;
        let mut digester = cairn_objects::Digester::default();
        while let Some(piece) = futures::StreamExt::next(&mut body).await {
            digester.update(&piece.map_err(|fault| refuse(Refusal::internal(fault)))?);
        }
        let (size, sha256) = digester.finish();
        if size != content.size {
            return Err(refused(cairn_objects::ObjectFault::SizeMismatch { size, expected: content.size }));
        }
        let expected: Digest = content.sha256.parse().map_err(|fault| refuse(Refusal::internal(fault)))?;
        if sha256 != expected {
            return Err(refused(cairn_objects::ObjectFault::DigestMismatch { sha256, expected }));
        }
        Ok(())
    }

    async fn grant(&self, grant: Grant) -> Result<Granted, Status> {
        let signed = self.inner.objects.presign(&grant).await.map_err(|fault| refuse(Refusal::of(&fault)))?;
        Ok(Granted { signed, expire_time: grant.now.after(grant.lifetime) })
    }
}
