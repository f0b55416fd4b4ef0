//! Where large bytes are kept: one trait, and a folder, S3 and memory behind it.
//!
//! Bytes stream both ways in constant memory, their SHA-256 is computed on the way in, and signed addresses let a
//! client move them without a credential. Knows nothing of runs, models or events: who may touch which key, and what a
//! key means, is decided above.

mod body;
mod digest;
mod fault;
mod folder;
mod grant;
mod key;
mod memory;
mod open;
mod s3;
mod store;

pub use body::{Body, collect, of_bytes, verified};
pub use digest::{Digest, Digester};
pub use fault::ObjectFault;
pub use folder::Folder;
pub use grant::{Action, Claims, Grant, SIGNED_ROUTE, Signed, Signer, SignerFault, attachment};
pub use key::{KEY_BYTES_MAX, Key, KeyFault, SEGMENT_BYTES_MAX};
pub use memory::Memory;
pub use open::{OpenFault, SCHEMES, Settings, open};
pub use s3::{S3, Secret, Settings as S3Settings};
pub use store::{
    Arrived, Expect, Listed, Listing, Object, ObjectStore, PAGE_MAX, PARTS_MAX, Part, Unfinished, UploadId, Written,
};
