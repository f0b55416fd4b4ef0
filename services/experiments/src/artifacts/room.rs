//! Room for bytes within a project's quota.

use cairn_objects::ObjectFault;
use cairn_service::quota::{Limit, Place};
use cairn_service::{Ctx, Refusal, refuse};
use tonic::Status;

use super::{Artifacts, query};
use crate::model::artifact::{Artifact, ArtifactPath, Owner};

/// How much may be stored under a path.
pub(super) struct Left {
    /// `None`: as much as one likes.
    limit: Option<Limit>,
    /// What the project keeps.
    used: u64,
    /// Of that, what a new artifact would replace.
    replaced: u64,
}

impl Left {
    /// The most bytes that there is room for, if no more than `size_max` are taken anyway.
    pub fn at_most(&self, size_max: u64) -> u64 {
        self.limit.as_ref().map_or(size_max, |limit| size_max.min(self.bytes(limit)))
    }

    /// Refuses so many bytes if there is no room for them.
    pub fn check(&self, size: u64) -> Result<(), Status> {
        match &self.limit {
            Some(limit) if size > self.bytes(limit) => Err(refuse(self.exceeded(limit, size))),
            _ => Ok(()),
        }
    }

    /// Why content that was held against [`Left::at_most`] is not taken: it may be the project's quota.
    pub fn explain(&self, fault: &ObjectFault, size_max: u64) -> Refusal {
        match (fault, &self.limit) {
            (ObjectFault::TooLarge { size_max: most }, Some(limit)) if *most < size_max => {
                self.exceeded(limit, most.saturating_add(1))
            }
            _ => Refusal::of(fault),
        }
    }

    fn bytes(&self, limit: &Limit) -> u64 {
        limit.max.saturating_sub(self.used) + self.replaced
    }

    fn exceeded(&self, limit: &Limit, size: u64) -> Refusal {
        limit.exceeded(self.used, size.saturating_sub(self.replaced))
    }
}

impl Artifacts {
    /// How much may be stored under a path, as it is now. Keeps no room: [`Artifacts::room`] does, for what has arrived.
    pub(super) async fn left(&self, ctx: &Ctx, owner: &Owner, path: &ArtifactPath) -> Result<Left, Status> {
        let Some(limit) = limit(ctx, owner) else { return Ok(Left { limit: None, used: 0, replaced: 0 }) };
        let used = query::usage(&self.inner.model, &owner.project()).await.map_err(refuse)?.bytes;
        Ok(Left { limit: Some(limit), used, replaced: self.replaced(owner, path).await? })
    }

    /// Room for content of this size under a path, to be held until lists show it. What replaces as much takes none.
    pub(super) async fn room(
        &self,
        ctx: &Ctx,
        owner: &Owner,
        path: &ArtifactPath,
        size: u64,
    ) -> Result<Option<Place>, Status> {
        let Some(limit) = limit(ctx, owner) else { return Ok(None) };
        let more = size.saturating_sub(self.replaced(owner, path).await?);
        if more == 0 {
            return Ok(None);
        }
        let (model, project) = (&self.inner.model, owner.project());
        let used = || async { query::usage(model, &project).await.map(|usage| usage.bytes) };
        self.inner.rooms.enter(&limit, more, used).await.map(Some).map_err(refuse)
    }

    async fn replaced(&self, owner: &Owner, path: &ArtifactPath) -> Result<u64, Status> {
        let loaded = self.inner.commands.load::<Artifact>(&owner.artifact_stream(path)).await.map_err(refuse)?;
        Ok(loaded.state.content().map_or(0, |content| content.size))
    }
}

fn limit(ctx: &Ctx, owner: &Owner) -> Option<Limit> {
    let max = ctx.quota().storage_bytes_max?;
    let project = owner.project().name().clone();
    Some(Limit { project, quota: "storage_bytes_max", what: "bytes of artifacts", max })
}
