//! The keeper that asks Vault, against a stand-in: no genuine Vault is to be had here.

use std::path::Path;
use std::sync::atomic::Ordering;

use cairn_seal::{Config, KeeperFault, KeeperKind, Rewrapped, SealFault, Sealer};

use crate::stand_in::{StandIn, TOKEN};

fn config(address: &str, token: &str) -> Config {
    Config {
        keeper: KeeperKind::Vault,
        vault_address: Some(address.to_owned()),
        vault_token: Some(token.to_owned().into()),
        vault_reachable: vec!["127.0.0.1".to_owned()],
        ..Config::default()
    }
}

async fn sealer(folder: &Path, address: &str) -> Sealer {
    config(address, TOKEN).start(folder, "d-1").await.unwrap()
}

#[tokio::test]
async fn vault_wraps_unwraps_and_rotates() {
    let (vault, folder) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let first = sealer(folder.path(), &vault.address).await;
    let ada = "users/ada".parse().unwrap();
    let sealed = first.seal(&ada, "note", "x".to_owned().into()).await.unwrap();
    assert_eq!(first.standing().await.unwrap().wrapped, [("vault:v1".to_owned(), 1)]);
    assert_eq!(first.rotate().await.unwrap(), "vault:v2");
    assert_eq!(first.rewrap(u64::MAX).await.unwrap(), Rewrapped { done: 1, left: 0 });
    drop(first);
    let second = sealer(folder.path(), &vault.address).await;
    assert_eq!(second.open(&ada, "note", sealed.as_bytes()).await.unwrap().expose(), b"x");
    assert_eq!(second.standing().await.unwrap().wrapped, [("vault:v2".to_owned(), 1)]);
}

#[tokio::test]
async fn a_vault_that_is_away_is_told_from_one_that_refuses_and_an_open_key_outlives_the_first() {
    let (vault, folder) = (StandIn::start().await, tempfile::tempdir().unwrap());
    let one = sealer(folder.path(), &vault.address).await;
    let (ada, bob) = ("users/ada".parse().unwrap(), "users/bob".parse().unwrap());
    let sealed = one.seal(&ada, "note", "x".to_owned().into()).await.unwrap();
    one.open(&ada, "note", sealed.as_bytes()).await.unwrap();
    vault.inner.is_sealed.store(true, Ordering::SeqCst);
    assert!(one.open(&ada, "note", sealed.as_bytes()).await.is_ok(), "its key is still remembered");
    let fault = one.seal(&bob, "note", "y".to_owned().into()).await.err().unwrap();
    assert!(matches!(&fault, SealFault::Keeper(fault) if fault.is_passing()), "{fault}");
    assert!(fault.to_string().contains("Vault is sealed"));
    vault.inner.is_sealed.store(false, Ordering::SeqCst);

    let other = config(&vault.address, "s.another").start(folder.path(), "d-1").await.unwrap();
    let fault = other.open(&ada, "note", sealed.as_bytes()).await.err().unwrap();
    assert!(matches!(&fault, SealFault::Keeper(KeeperFault::Refused { status: 403, .. })), "{fault}");
    assert!(!fault.to_string().contains("s.another"));
}

#[tokio::test]
async fn a_private_address_must_be_allowed() {
    let vault = StandIn::start().await;
    let config = Config { vault_reachable: vec![], ..config(&vault.address, TOKEN) };
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(config.start(folder.path(), "d-1").await, Err(SealFault::Keeper(KeeperFault::Address(_)))));
}
