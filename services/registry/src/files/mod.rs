//! The files of versions: which there are when a version is registered, and what its signature says.
//!
//! Has a read model of its own, which follows what experiments records of artifacts, so that what is uploaded and what is
//! registered do not wait for each other's rows. The one file whose bytes are read is the signature, from the store that
//! the event names; nobody is asked.

mod place;
mod projection;
mod query;

use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::EventStore;
use cairn_kernel::Position;
use cairn_objects::{Digest, Key, ObjectStore, verified};
use cairn_projection::{QueryFault, ReadModel, View};
use cairn_search::SearchFault;
use cairn_service::Refusal;
use futures::TryStreamExt;
use tokio::time::Instant;

pub use self::place::{Place, place};
use self::query::Row;
use crate::config::Config;
use crate::model::VersionName;
use crate::model::signing::{Found, SignatureFile};
use crate::model::version::{Artifact, Manifest};
use crate::query::SearchError;

/// Queries that run at the same time.
const READERS: usize = 4;

/// Files of versions. Cheap to clone.
#[derive(Clone)]
pub struct Files {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Arc<dyn ObjectStore>,
    model: ReadModel,
    view: View,
    files_max: usize,
    signature_bytes_max: u64,
}

/// A page of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactPage {
    pub artifacts: Vec<Artifact>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

impl Files {
    /// Starts the read model. Must be called on a tokio runtime.
    pub fn start(
        objects: Arc<dyn ObjectStore>,
        store: Arc<dyn EventStore>,
        views_folder: &Path,
        config: &Config,
    ) -> Result<Self, QueryFault> {
        let model = ReadModel::open(&views_folder.join("version_files.sqlite"), READERS)?;
        let view = View::start(store, &model, projection::Files)?;
        let files_max = config.files_per_version_max as usize;
        let signature_bytes_max = config.signature_bytes_max;
        Ok(Self { inner: Arc::new(Inner { objects, model, view, files_max, signature_bytes_max }) })
    }

    /// The read model's view.
    pub fn view(&self) -> &View {
        &self.inner.view
    }

    /// What lies in a place, once everything up to `head` has been seen. Costs what its own files cost.
    pub async fn at(&self, place: Option<&Place>, head: Position, deadline: Instant) -> Result<Found, Refusal> {
        let Some(place) = place else { return Ok(Found::elsewhere()) };
        self.reached(head, deadline).await?;
        let rows = query::files(&self.inner.model, place, self.inner.files_max + 1).await?;
        if rows.len() > self.inner.files_max {
            return Ok(Found { manifest: Manifest::TooMany, ..Found::default() });
        }
        let keys: Vec<String> = rows.iter().map(|row| row.object_key.clone()).collect();
        let found = Found::of(rows.into_iter().map(Row::into_artifact).collect());
        let Some(file) = found.signature_file() else { return Ok(found) };
        let at = found.artifacts.iter().position(|artifact| artifact == file);
        let key = at.map(|at| keys[at].as_str()).unwrap_or_default();
        let signature = Some(SignatureFile { sha256: file.sha256.clone(), bytes: self.read(key, file).await? });
        Ok(Found { signature, ..found })
    }

    /// The files of a version as they were when it was registered, by path.
    pub async fn of_version(
        &self,
        name: &VersionName,
        after: Position,
        deadline: Instant,
        limit: usize,
        page_token: &str,
    ) -> Result<ArtifactPage, Refusal> {
        self.reached(after, deadline).await?;
        query::of_version(&self.inner.model, name, limit, page_token).await.map_err(|fault| match fault {
            SearchError::Search(fault) => Refusal::of::<SearchFault>(&fault),
            SearchError::Query(fault) => fault.into(),
        })
    }

    /// The bytes of a file, which are those that were recorded. An error: they are more than are read.
    async fn read(&self, key: &str, file: &Artifact) -> Result<Result<Vec<u8>, u64>, Refusal> {
        if file.size > self.inner.signature_bytes_max {
            return Ok(Err(self.inner.signature_bytes_max));
        }
        let key: Key = key.parse().map_err(Refusal::internal)?;
        let sha256: Digest = file.sha256.parse().map_err(Refusal::internal)?;
        let object = self.inner.objects.get(&key, None).await.map_err(|fault| Refusal::of(&fault))?;
        let pieces = verified(object.body, file.size, sha256).try_collect::<Vec<_>>().await;
        Ok(Ok(pieces.map_err(Refusal::internal)?.concat()))
    }

    async fn reached(&self, position: Position, deadline: Instant) -> Result<(), Refusal> {
        self.inner.view.reached(position, deadline).await.map_err(Into::into)
    }
}
