//! Who keeps the key-encryption keys.

mod environment;
mod file;
mod local;
mod transit;

use async_trait::async_trait;

pub use environment::Environment;
pub use file::KeyFile;
pub use transit::{Settings as TransitSettings, Transit};

use crate::{DataKey, KeeperFault};

/// Keeps key-encryption keys, which never leave it, and wraps data keys with the newest of them.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// Wraps a key for what `context` says it belongs to.
    async fn wrap(&self, key: &DataKey, context: &[u8]) -> Result<Wrapped, KeeperFault>;

    /// Gives the key that was wrapped for this `context`.
    async fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<DataKey, KeeperFault>;

    /// Wraps a wrapped key with the newest key-encryption key.
    async fn rewrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<Wrapped, KeeperFault> {
        self.wrap(&self.unwrap(wrapped, context).await?, context).await
    }

    /// What it keeps.
    async fn describe(&self) -> Result<Kept, KeeperFault>;

    /// Makes a new key-encryption key, the newest from now on, and names it.
    async fn rotate(&self) -> Result<String, KeeperFault>;
}

/// What a keeper keeps. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What kind of keeper it is.
    pub kind: &'static str,
    /// Where its keys lie.
    pub place: String,
    /// The key that is wrapped with.
    pub newest: String,
    /// Every key it can unwrap with. `None`: only whoever keeps them knows.
    pub known: Option<Vec<String>>,
}

/// A data key as it lies in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Names the key-encryption key.
    pub by: String,
    pub bytes: Vec<u8>,
}
