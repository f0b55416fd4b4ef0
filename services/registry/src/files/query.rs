use cairn_contract::cairn::registry::events::v1::ModelVersionCreated;
use cairn_projection::{QueryFault, ReadModel};
use cairn_search::{SearchFault, fingerprint, marks, token};
use prost::Message;
use rusqlite::types::{Type, Value};
use rusqlite::{OptionalExtension, params};

use super::{ArtifactPage, Place};
use crate::model::VersionName;
use crate::model::version::Artifact;
use crate::query::SearchError;
use crate::stored::artifacts::decode_artifact;

/// A file below a place.
pub(super) struct Row {
    path: String,
    pub object_key: String,
    sha256: String,
    size: u64,
}

impl Row {
    pub fn into_artifact(self) -> Artifact {
        Artifact { path: self.path, sha256: self.sha256, size: self.size }
    }
}

/// The files below a place by their paths from there, and no more than `limit`.
pub(super) async fn files(model: &ReadModel, place: &Place, limit: usize) -> Result<Vec<Row>, QueryFault> {
    let (owner, folder) = (place.owner.to_string(), place.folder.clone());
    model
        .query(move |db| {
            // What lies below a folder sorts between `folder/` and `folder0`, for `0` follows `/`.
            let (from, to, skip) = match folder.as_str() {
                // No path begins with the last of all characters.
                "" => (String::new(), "\u{10ffff}".to_owned(), 0),
                folder => (format!("{folder}/"), format!("{folder}0"), folder.len() + 1),
            };
            db.prepare_cached(
                "SELECT path, object_key, sha256, size FROM source_file
                 WHERE owner = ?1 AND path >= ?2 AND path < ?3 ORDER BY path LIMIT ?4",
            )?
            .query_map(params![owner, from, to, limit as i64], |row| {
                let path: String = row.get(0)?;
                let path = path.get(skip..).unwrap_or_default().to_owned();
                Ok(Row { path, object_key: row.get(1)?, sha256: row.get(2)?, size: row.get(3)? })
            })?
            .collect()
        })
        .await
}

/// The files that a version had when it was registered, by path.
pub(super) async fn of_version(
    model: &ReadModel,
    name: &VersionName,
    limit: usize,
    page_token: &str,
) -> Result<ArtifactPage, SearchError> {
    let print = fingerprint(&name.to_string());
    let after = match marks(&print, page_token)?.as_deref() {
        None => None,
        Some([Value::Text(path)]) => Some(path.clone()),
        Some(_) => return Err(SearchFault::PageToken.into()),
    };
    let version = name.to_string();
    let list: Option<Vec<u8>> = model
        .query(move |db| {
            db.prepare_cached("SELECT artifacts FROM version_files WHERE version = ?1")?
                .query_row([version], |row| row.get(0))
                .optional()
        })
        .await?;
    let list = ModelVersionCreated::decode(list.unwrap_or_default().as_slice())
        .map_err(|fault| QueryFault::from(rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, fault.into())))?;
    let is_wanted = |artifact: &Artifact| after.as_ref().is_none_or(|after| artifact.path > *after);
    let mut artifacts: Vec<Artifact> =
        list.artifacts.into_iter().map(decode_artifact).filter(is_wanted).take(limit + 1).collect();
    let has_more = artifacts.len() > limit;
    artifacts.truncate(limit);
    let next_page_token = match artifacts.last() {
        Some(last) if has_more => token(&print, vec![Value::Text(last.path.clone())]),
        _ => String::new(),
    };
    Ok(ArtifactPage { artifacts, next_page_token })
}
