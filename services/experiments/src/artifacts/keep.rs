use cairn_eventstore::Order;
use cairn_kernel::{Code, Expected, Position};
use cairn_objects::{Body, Expect, Key};
use cairn_service::{Ctx, Refusal, refuse};
use tonic::Status;
use uuid::Uuid;

use super::{Artifacts, media_type_of, query};
use crate::model::artifact::{ARTIFACTS_PER_OWNER_MAX, Artifact, ArtifactPath, Command, Content, Owner};
use crate::model::{LoggedModel, Run};

/// An artifact on its way in.
pub struct Upload {
    pub owner: Owner,
    pub path: ArtifactPath,
    /// Absent: the file's name tells.
    pub media_type: Option<String>,
    pub expect: Expect,
}

impl Artifacts {
    /// Largest artifact that is taken.
    pub fn size_max(&self) -> u64 {
        self.inner.size_max
    }

    /// Stores bytes and makes them the artifact. Returns when lists show it.
    pub async fn store(&self, ctx: &Ctx, order: Order, upload: Upload, body: Body) -> Result<Content, Status> {
        self.check_room(&upload.owner).await?;
        let left = self.left(ctx, &upload.owner, &upload.path).await?;
        let size_max = upload.expect.size_max;
        let expect = Expect { size_max: left.at_most(size_max), ..upload.expect };
        let key = new_key(&upload.owner).map_err(refuse)?;
        let written = self.inner.objects.put(&key, body, expect).await;
        let written = written.map_err(|fault| refuse(left.explain(&fault, size_max)))?;
        let _room = match self.room(ctx, &upload.owner, &upload.path, written.size).await {
            Ok(room) => room,
            Err(full) => {
                // No event was written that could name them.
                if let Err(fault) = self.inner.objects.delete(&key).await {
                    tracing::warn!(%key, %fault, "bytes that there was no room for stay until they are swept");
                }
                return Err(full);
            }
        };
        let content = Content {
            object_key: key.to_string(),
            size: written.size,
            sha256: written.sha256.to_string(),
            media_type: upload.media_type.unwrap_or_else(|| media_type_of(upload.path.file_name())),
        };
        // If this fails, nobody can tell whether the event is there: an answer that came too late is a failure too. So
        // the bytes stay, and if no event names them the sweep finds them.
        self.record(ctx, order, &upload.owner, &upload.path, content).await
    }

    /// Makes stored bytes the artifact. Returns when lists show it.
    async fn record(
        &self,
        ctx: &Ctx,
        order: Order,
        owner: &Owner,
        path: &ArtifactPath,
        content: Content,
    ) -> Result<Content, Status> {
        let command = Command::Record { owner: owner.clone(), path: path.clone(), content };
        let (content, _) = self.execute(ctx, order, owner, path, Expected::Any, command).await?;
        content.ok_or_else(|| refuse(Refusal::internal("a recorded artifact has no content")))
    }

    /// Deletes an artifact, and gives what it was: nothing if it was gone already.
    pub async fn delete(
        &self,
        ctx: &Ctx,
        order: Order,
        owner: &Owner,
        path: &ArtifactPath,
        expected: Expected,
    ) -> Result<Position, Status> {
        let command = Command::Delete { owner: owner.clone(), path: path.clone() };
        Ok(self.execute(ctx, order, owner, path, expected, command).await?.1)
    }

    pub(super) async fn execute(
        &self,
        ctx: &Ctx,
        mut order: Order,
        owner: &Owner,
        path: &ArtifactPath,
        expected: Expected,
        command: Command,
    ) -> Result<(Option<Content>, Position), Status> {
        // In a compatibility dialect the contract names only the project.
        order.metadata.resource = owner.to_string();
        let stream = owner.artifact_stream(path);
        let done = self.inner.commands.execute::<Artifact>(&order, &stream, expected, command).await.map_err(refuse)?;
        self.inner.view.reached(done.position, ctx.deadline()).await.map_err(refuse)?;
        Ok((done.state.content().cloned(), done.position))
    }

    /// Whether the owner is there, in use, and takes another artifact.
    pub(super) async fn check_room(&self, owner: &Owner) -> Result<(), Status> {
        match owner {
            Owner::Run(run) => {
                let loaded = self.inner.commands.load::<Run>(&run.stream()).await.map_err(refuse)?;
                loaded.state.active().map_err(|rejection| refuse(Refusal::of(&rejection)))?;
            }
            Owner::LoggedModel(model) => {
                let loaded = self.inner.commands.load::<LoggedModel>(&model.stream()).await.map_err(refuse)?;
                loaded.state.active().map_err(|rejection| refuse(Refusal::of(&rejection)))?;
            }
        }
        let count = query::count(&self.inner.model, owner, ARTIFACTS_PER_OWNER_MAX).await.map_err(refuse)?;
        if count >= ARTIFACTS_PER_OWNER_MAX {
            let message = format!("{owner} has {ARTIFACTS_PER_OWNER_MAX} artifacts, and takes no more");
            return Err(refuse(
                Refusal::new(Code::ResourceExhausted, "ARTIFACTS_TOO_MANY", message)
                    .with("owner", owner)
                    .with("max", ARTIFACTS_PER_OWNER_MAX),
            ));
        }
        Ok(())
    }
}

/// A key that no object has: `<project>/runs/<run>/<id>`, with an id made here, at the edge.
pub(super) fn new_key(owner: &Owner) -> Result<Key, Refusal> {
    let (collection, id) = match owner {
        Owner::Run(run) => ("runs", run.run()),
        Owner::LoggedModel(model) => ("loggedModels", model.model()),
    };
    let text = format!("{}/{collection}/{id}/{}", owner.project().project(), Uuid::new_v4().simple());
    text.parse().map_err(Refusal::internal)
}
