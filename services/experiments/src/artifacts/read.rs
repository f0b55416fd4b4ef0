use bytes::Bytes;
use cairn_kernel::{Code, Position};
use cairn_objects::{Body, Digest, Key, ObjectFault, of_bytes, verified};
use cairn_projection::ReadModel;
use cairn_service::{Ctx, Refusal, refuse};
use tonic::Status;

use super::Artifacts;
use super::query::{self, Child, Row, Usage};
use super::ranges::{Asked, Portion};
use crate::model::ProjectName;
use crate::model::artifact::{Artifact, ArtifactName, ArtifactPath, Content, Owner, Rejection};

/// An artifact on its way out. The whole of it ends well only when it has the recorded digest; of a part nobody can
/// tell, and the reader who puts parts together compares the whole.
pub struct Download {
    pub content: Content,
    pub portion: Portion,
    pub body: Body,
}

impl Artifacts {
    /// What lies under a path now. Asks the log, not a view: an upload just answered is seen.
    pub async fn content(&self, owner: &Owner, path: &ArtifactPath) -> Result<Content, Status> {
        let loaded = self.inner.commands.load::<Artifact>(&owner.artifact_stream(path)).await.map_err(refuse)?;
        let missing = || refuse(Refusal::of(&Rejection::NotFound { owner: owner.clone(), path: path.clone() }));
        loaded.state.content().cloned().ok_or_else(missing)
    }

    /// An artifact's bytes, or those that were asked for.
    pub async fn open(&self, owner: &Owner, path: &ArtifactPath, asked: &Asked) -> Result<Download, Status> {
        let content = self.content(owner, path).await?;
        let key = object_key(&content)?;
        let portion = asked.portion(&entity_tag(&content.sha256), content.size);
        let body = match self.portion(&key, &portion, content.size).await? {
            body if portion == Portion::Whole => {
                let sha256: Digest = content.sha256.parse().map_err(|fault| refuse(Refusal::internal(fault)))?;
                verified(body, content.size, sha256)
            }
            body => body,
        };
        Ok(Download { content, portion, body })
    }

    /// So much of an object.
    pub(super) async fn portion(&self, key: &Key, portion: &Portion, size: u64) -> Result<Body, Status> {
        let range = match portion {
            Portion::Whole => None,
            Portion::Part(range) => Some(range.clone()),
            Portion::Unchanged => return Ok(of_bytes(Bytes::new())),
            Portion::Beyond => return Err(refuse(Refusal::of(&ObjectFault::Range { key: key.clone(), size }))),
        };
        let object = self.inner.objects.get(key, range).await.map_err(|fault| refuse(Refusal::of(&fault)))?;
        Ok(object.body)
    }

    /// Files and folders right below a folder.
    pub async fn children(&self, ctx: &Ctx, owner: &Owner, folder: &str) -> Result<Vec<Child>, Status> {
        let model = self.model(ctx, "").await?;
        query::children(&model, owner, folder).await.map_err(refuse)
    }

    /// Artifacts below a folder, however deep, as they are or were.
    pub async fn below(
        &self,
        (ctx, as_of): (&Ctx, &str),
        owner: &Owner,
        folder: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Row>, Status> {
        let model = self.model(ctx, as_of).await?;
        query::below(&model, owner, folder, after, limit).await.map_err(refuse)
    }

    /// The artifact of this name, as it is or was.
    pub async fn row(&self, ctx: &Ctx, as_of: &str, name: &ArtifactName) -> Result<Row, Status> {
        let model = self.model(ctx, as_of).await?;
        let row = query::by_id(&model, name.owner(), name.artifact()).await.map_err(refuse)?;
        row.ok_or_else(|| {
            let message = format!("there is no artifact {name}");
            refuse(Refusal::new(Code::NotFound, "ARTIFACT_NOT_FOUND", message).with("name", name))
        })
    }

    /// How much a project keeps or kept.
    pub async fn usage(&self, ctx: &Ctx, as_of: &str, project: &ProjectName) -> Result<Usage, Status> {
        let model = self.model(ctx, as_of).await?;
        query::usage(&model, project).await.map_err(refuse)
    }

    /// Up to where lists know the log.
    pub fn position(&self) -> Position {
        self.inner.view.position()
    }

    /// Where an object is, as people name it.
    pub fn storage_address(&self, content: &Content) -> String {
        format!("{}/{}", self.inner.address, content.object_key)
    }

    /// The tables as the caller wants to see them: at a moment, or once they hold what it says it has seen.
    async fn model(&self, ctx: &Ctx, as_of: &str) -> Result<ReadModel, Status> {
        if let Some(as_of) = ctx.as_of(as_of)? {
            return Ok(self.inner.past.at(as_of, ctx.deadline()).await.map_err(refuse)?.model);
        }
        let after = ctx.after().unwrap_or(Position::START);
        self.inner.view.reached(after, ctx.deadline()).await.map_err(refuse)?;
        Ok(self.inner.model.clone())
    }
}

/// What tells bytes from others: their digest, as HTTP writes entity tags.
pub(super) fn entity_tag(digest: &str) -> String {
    format!("\"{digest}\"")
}

/// The key under which an artifact's bytes are stored.
pub(super) fn object_key(content: &Content) -> Result<Key, Status> {
    content.object_key.parse().map_err(|fault| refuse(Refusal::internal(fault)))
}
