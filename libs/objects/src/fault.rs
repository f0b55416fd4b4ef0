use std::io;

use cairn_kernel::{Code, Description, Fault};

use crate::{Digest, Key, KeyFault};

/// Why bytes could not be stored or given.
#[derive(Debug, thiserror::Error)]
pub enum ObjectFault {
    #[error("there is no object {key}")]
    NotFound { key: Key },
    #[error("the key is not usable: {0}")]
    Key(#[from] KeyFault),
    #[error("{key} cannot be stored: another object's name is a folder of it, or lies below it")]
    Obstructed { key: Key },
    #[error("the content is larger than {size_max} bytes")]
    TooLarge { size_max: u64 },
    #[error("the content has {size} bytes, not the {expected} announced")]
    SizeMismatch { size: u64, expected: u64 },
    #[error("the content has the SHA-256 {sha256}, not the {expected} announced")]
    DigestMismatch { sha256: Digest, expected: Digest },
    #[error("the range starts beyond the {size} bytes of {key}")]
    Range { key: Key, size: u64 },
    #[error("there is no upload {upload} for {key}")]
    UploadNotFound { key: Key, upload: String },
    #[error("part {number} was not uploaded, or is another than the one named")]
    PartMismatch { number: u32 },
    #[error("the parts are not usable: {problem}")]
    Parts { problem: String },
    #[error("the content did not arrive whole: {problem}")]
    Interrupted { problem: String },
    #[error("{problem}")]
    Damaged { problem: String },
    #[error("there is no space left for objects")]
    StorageFull,
    #[error("the object store cannot be reached: {problem}")]
    Unavailable { problem: String },
    #[error("the address cannot be signed: {problem}")]
    Unsigned { problem: String },
}

impl ObjectFault {
    /// The sender stopped before the end, or what was stored is not what was recorded.
    pub(crate) fn interrupted(fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::InvalidData => Self::Damaged { problem: fault.to_string() },
            _ => Self::Interrupted { problem: fault.to_string() },
        }
    }

    /// The disk did not do as asked.
    pub(crate) fn disk(fault: io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull,
            _ => Self::Unavailable { problem: fault.to_string() },
        }
    }
}

impl Fault for ObjectFault {
    const DOMAIN: &'static str = "objects.cairn";

    fn describe(&self) -> Description {
        use Code::{AlreadyExists, FailedPrecondition, Internal, InvalidArgument, NotFound, OutOfRange, Unavailable};
        match self {
            Self::NotFound { key } => (NotFound, "OBJECT_NOT_FOUND", vec![("key", key.to_string())]),
            Self::Key(_) => (InvalidArgument, "OBJECT_KEY_INVALID", vec![]),
            Self::Obstructed { key } => (AlreadyExists, "OBJECT_OBSTRUCTED", vec![("key", key.to_string())]),
            Self::TooLarge { size_max } => {
                (InvalidArgument, "OBJECT_TOO_LARGE", vec![("size_max", size_max.to_string())])
            }
            Self::SizeMismatch { size, expected } => (
                InvalidArgument,
                "CONTENT_MISMATCH",
                vec![("size", size.to_string()), ("expected_size", expected.to_string())],
            ),
            Self::DigestMismatch { sha256, expected } => (
                InvalidArgument,
                "CONTENT_MISMATCH",
                vec![("sha256", sha256.to_string()), ("expected_sha256", expected.to_string())],
            ),
            Self::Range { key, size } => {
                (OutOfRange, "OBJECT_RANGE_INVALID", vec![("key", key.to_string()), ("size", size.to_string())])
            }
            Self::UploadNotFound { upload, .. } => (NotFound, "UPLOAD_NOT_FOUND", vec![("upload", upload.clone())]),
            Self::PartMismatch { number } => {
                (FailedPrecondition, "UPLOAD_PART_MISMATCH", vec![("part_number", number.to_string())])
            }
            Self::Parts { .. } => (InvalidArgument, "UPLOAD_PARTS_INVALID", vec![]),
            Self::Interrupted { .. } => (InvalidArgument, "CONTENT_INTERRUPTED", vec![]),
            Self::Damaged { .. } => (Internal, "OBJECT_DAMAGED", vec![]),
            Self::StorageFull => (Unavailable, "STORAGE_FULL", vec![]),
            Self::Unavailable { .. } => (Unavailable, "OBJECT_STORE_UNAVAILABLE", vec![]),
            Self::Unsigned { .. } => (Internal, "INTERNAL", vec![]),
        }
    }
}
