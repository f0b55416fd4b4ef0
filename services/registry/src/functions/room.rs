//! Room for packages within a project's quota. They are held against it by themselves: what the project keeps elsewhere,
//! whoever keeps it counts.

use cairn_objects::Key;
use cairn_service::Refusal;
use cairn_service::quota::{Limit, Place};

use super::{Functions, query};
use crate::app::Call;
use crate::model::function::FunctionName;

impl Functions {
    /// The limit on a project's packages, and how many bytes they have. `None`: there is none, or this package is one of
    /// them already.
    pub(super) async fn left(
        &self,
        call: &Call,
        function: &FunctionName,
        key: &Key,
    ) -> Result<Option<(Limit, u64)>, Refusal> {
        let Some(limit) = limit(call, function) else { return Ok(None) };
        let (bytes, is_counted) = query::package_bytes(&self.inner.model, function.project(), key.as_str()).await?;
        Ok((!is_counted).then_some((limit, bytes)))
    }

    /// Room for a package, to be held until it shows.
    pub(super) async fn room(
        &self,
        call: &Call,
        function: &FunctionName,
        key: &Key,
        size: u64,
    ) -> Result<Option<Place>, Refusal> {
        let Some((limit, _)) = self.left(call, function, key).await? else { return Ok(None) };
        let (model, project) = (&self.inner.model, function.project());
        let used = || async { query::package_bytes(model, project, key.as_str()).await.map(|(bytes, _)| bytes) };
        self.inner.rooms.enter(&limit, size, used).await.map(Some)
    }
}

fn limit(call: &Call, function: &FunctionName) -> Option<Limit> {
    let max = call.quota.storage_bytes_max?;
    let project = function.name().project()?;
    Some(Limit { project, quota: "storage_bytes_max", what: "bytes of packages", max })
}
