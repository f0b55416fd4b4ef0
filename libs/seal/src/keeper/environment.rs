use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_kernel::Secret;
use zeroize::Zeroizing;

use super::local::{LocalKey, LocalKeys};
use super::{Keeper, Kept, Wrapped};
use crate::{DataKey, KeeperFault};

/// Keys that whoever starts the process gives it: from an environment variable, or a file that a cluster mounts.
pub struct Environment(LocalKeys);

impl Environment {
    /// Reads keys, the newest first, separated by commas: each the base64 of 32 random bytes.
    pub fn read(keys: &Secret) -> Result<Self, KeeperFault> {
        let texts = keys.expose().split([',', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let read = |(at, text): (usize, &str)| {
            let bytes = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
            DataKey::from_bytes(&bytes).map(LocalKey::new).ok_or(KeeperFault::BadKey { at: at + 1 })
        };
        let keys = texts.enumerate().map(read).collect::<Result<_, _>>()?;
        LocalKeys::new(keys).map(Self).ok_or(KeeperFault::BadKey { at: 1 })
    }
}

#[async_trait]
impl Keeper for Environment {
    async fn wrap(&self, key: &DataKey, context: &[u8]) -> Result<Wrapped, KeeperFault> {
        Ok(self.0.wrap(key, context))
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<DataKey, KeeperFault> {
        let unknown = || Err(KeeperFault::Unknown { ids: wrapped.by.clone() });
        self.0.unwrap(wrapped, context).unwrap_or_else(unknown)
    }

    async fn describe(&self) -> Result<Kept, KeeperFault> {
        Ok(Kept {
            kind: "environment",
            place: "sealing.keys".to_owned(),
            newest: self.0.newest().id.clone(),
            known: Some(self.0.ids()),
        })
    }

    async fn rotate(&self) -> Result<String, KeeperFault> {
        Err(KeeperFault::GivenFromOutside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(of: &[u8]) -> Secret {
        let texts: Vec<String> = of.iter().map(|byte| STANDARD.encode([*byte; 32])).collect();
        texts.join(",").into()
    }

    #[tokio::test]
    async fn a_new_key_in_front_wraps_and_the_old_ones_still_unwrap() {
        let before = Environment::read(&keys(&[1])).unwrap();
        let key = DataKey::fresh();
        let wrapped = before.wrap(&key, b"here").await.unwrap();
        let after = Environment::read(&keys(&[2, 1])).unwrap();
        assert!(after.unwrap(&wrapped, b"here").await.unwrap().expose() == key.expose());
        let again = after.rewrap(&wrapped, b"here").await.unwrap();
        assert_eq!(again.by, after.describe().await.unwrap().newest);
        assert!(matches!(before.unwrap(&again, b"here").await, Err(KeeperFault::Unknown { .. })));
        assert!(matches!(after.unwrap(&again, b"there").await, Err(KeeperFault::Foreign)));
        assert!(matches!(after.rotate().await, Err(KeeperFault::GivenFromOutside)));
    }

    #[test]
    fn what_is_no_key_is_said_by_its_place() {
        let text = format!("{},c2hvcnQ=", STANDARD.encode([1; 32]));
        assert!(matches!(Environment::read(&text.into()), Err(KeeperFault::BadKey { at: 2 })));
        assert!(matches!(Environment::read(&Secret::default()), Err(KeeperFault::BadKey { at: 1 })));
    }
}
