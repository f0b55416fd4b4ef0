use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::{Folder, Memory, ObjectStore, S3, S3Settings, Signer};

/// Schemes that [`open`] knows.
pub const SCHEMES: [&str; 3] = ["file", "s3", "memory"];

/// What a store needs besides its URL.
#[derive(Clone)]
pub struct Settings {
    /// Signs addresses for the stores that have none of their own.
    pub signer: Signer,
    pub s3: S3Settings,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// `UNKNOWN_SCHEME`.
    #[error("UNKNOWN_SCHEME: {url:?} names no object store; it must begin with {}", known())]
    UnknownScheme { url: String },
    #[error("{url:?} is not usable: {problem}")]
    Invalid { url: String, problem: &'static str },
    #[error("the folder {folder:?} cannot be opened: {fault}")]
    Folder { folder: String, fault: io::Error },
}

/// Opens the object store that a URL names: `file:///srv/cairn/objects`, `s3://bucket/prefix` or `memory://`.
pub async fn open(url: &str, settings: Settings) -> Result<Arc<dyn ObjectStore>, OpenFault> {
    let invalid = |problem| OpenFault::Invalid { url: url.to_owned(), problem };
    match url.split_once("://") {
        Some(("file", folder)) => {
            if !folder.starts_with('/') {
                return Err(invalid("a folder is named by its whole path, e.g. file:///srv/cairn/objects"));
            }
            let opened = Folder::open(Path::new(folder), settings.signer);
            Ok(Arc::new(opened.map_err(|fault| OpenFault::Folder { folder: folder.to_owned(), fault })?))
        }
        Some(("s3", place)) => {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            if bucket.is_empty() {
                return Err(invalid("it names no bucket"));
            }
            let prefix = prefix.trim_end_matches('/');
            let prefix = if prefix.is_empty() {
                None
            } else {
                Some(prefix.parse().map_err(|_| invalid("its prefix cannot begin a key"))?)
            };
            Ok(Arc::new(S3::connect(bucket, prefix, &settings.s3).await))
        }
        Some(("memory", "")) => Ok(Arc::new(Memory::new(settings.signer))),
        _ => Err(OpenFault::UnknownScheme { url: url.to_owned() }),
    }
}

fn known() -> String {
    SCHEMES.map(|scheme| format!("{scheme}://")).join(", ")
}
