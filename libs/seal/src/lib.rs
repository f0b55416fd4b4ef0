//! Sealing: bytes that may lie anywhere, in events that are for ever too, and that can still be forgotten.
//!
//! What is sealed is encrypted under a *data key*. Data keys lie in a small table beside the log ([`Sealer`]), each wrapped
//! by a *key-encryption key* that never leaves its [`Keeper`]: a file, the environment, or the transit engine of a
//! HashiCorp Vault. To destroy what was sealed is to delete a row of the table; the ciphertext may stay where it is.
//!
//! ```text
//! message --(data key)--> sealed bytes          in an event, a view, a backup: wherever they are put
//! data key --(key-encryption key)--> wrapped    a row of the table of keys
//! key-encryption key                            with its keeper
//! ```
//!
//! Everything is sealed for a *subject*, a resource name, and a *purpose*, a word. Both are part of what is authenticated,
//! with the deployment and the key: sealed bytes that are put in another's place do not open.
//!
//! - What is sealed once and destroyed by itself, like the version of a secret, takes a key of its own:
//!   [`Sealer::seal_alone`].
//! - What belongs to somebody and shall be forgotten together, like what is known about a person, takes the subject's
//!   standing key: [`Sealer::seal`], and [`Sealer::forget`] when the time has come.
//!
//! ```no_run
//! # async fn example(sealer: cairn_seal::Sealer) -> Result<(), cairn_seal::SealFault> {
//! let person = "users/u-1".parse().expect("a name");
//! let sealed = sealer.seal(&person, "note", "likes tea".to_owned().into()).await?;
//! assert_eq!(sealer.open(&person, "note", sealed.as_bytes()).await?.expose(), b"likes tea");
//! sealer.forget(&person).await?; // From now on it opens for nobody.
//! # Ok(())
//! # }
//! ```
//!
//! The cipher is XAES-256-GCM (C2SP): AES-256-GCM under a key that is derived for every message from a random 192-bit
//! nonce, so that a key may seal any number of them. It does not commit to its key; so a check value of the key stands in
//! front, and is compared before anything is decrypted.
//!
//! Secrets here have no `Debug`, `Display` or `Serialize`, and are wiped when they are dropped. Copies that TLS, SQLite or a
//! serializer make are out of reach.
//!
//! Knows nothing of who may seal or open what, and of no service.

mod binding;
mod config;
mod data_key;
mod fault;
mod keeper;
mod sealed;
mod sealer;
mod sensitive;
mod table;
mod text;
mod xaes;

pub use config::{Config, KeeperKind};
pub use data_key::DataKey;
pub use fault::{KeeperFault, SealFault};
pub use keeper::{Environment, Keeper, Kept, KeyFile, Transit, TransitSettings, Wrapped};
pub use sealed::{KeyId, Sealed};
pub use sealer::{Rewrapped, Sealer, Standing};
pub use sensitive::Sensitive;
pub use text::is_sealed;
