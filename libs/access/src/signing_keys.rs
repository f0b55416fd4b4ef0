//! The keys that access tokens are signed with: three places, through which each key moves.
//!
//! A key is published before it signs, so that whoever checks tokens elsewhere has read it by then; and it is known for
//! as long as what it signed holds.

use std::time::Duration;

use cairn_kernel::Time;

use crate::keyring::SigningKey;
use crate::{ACCESS_TOKEN_LIFE_MAX, Access, KeyringFault};

/// How long others may keep the published keys before they read them again.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// The three places.
#[derive(Clone)]
pub(crate) struct Slots {
    /// Published, and signs next.
    pub next: SigningKey,
    /// Signs.
    pub current: SigningKey,
    /// Signed until lately.
    pub previous: Option<SigningKey>,
    /// Since when the keys are in these places, in seconds since 1970. 0: nobody has looked yet.
    pub since: i64,
    /// Whether they ever were in others. The first ones were published from the beginning.
    pub have_moved: bool,
}

impl Slots {
    pub fn generate() -> Self {
        let (next, current) = (SigningKey::generate(), SigningKey::generate());
        Self { next, current, previous: None, since: 0, have_moved: false }
    }
}

/// The names of the keys in their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeys {
    pub next: String,
    pub current: String,
    pub previous: Option<String>,
    /// Since when. `None`: nobody has looked yet.
    pub since: Option<Time>,
    /// Whether they ever were in other places.
    pub have_moved: bool,
}

/// Why the keys do not change places.
#[derive(Debug, thiserror::Error)]
pub enum RotationFault {
    #[error("the keys changed places {0:?} ago: others may not have read the next one yet")]
    Fresh(Duration),
    #[error(transparent)]
    Keyring(#[from] KeyringFault),
}

impl Access {
    /// Which keys are in which place.
    pub fn signing_keys(&self) -> SigningKeys {
        let slots = self.keyring.slots();
        SigningKeys {
            next: slots.next.kid.clone(),
            current: slots.current.kid.clone(),
            previous: slots.previous.as_ref().map(|key| key.kid.clone()),
            since: (slots.since > 0).then(|| Time::from_seconds_and_nanos(slots.since, 0)),
            have_moved: slots.have_moved,
        }
    }

    /// Lets the time of keys begin that nobody has looked at yet.
    pub fn begin_signing_keys(&self) -> Result<(), KeyringFault> {
        self.keyring.reread()?;
        let slots = self.keyring.slots();
        if slots.since > 0 {
            return Ok(());
        }
        let (since, _) = self.clock.now().seconds_and_nanos();
        self.keyring.put(Slots { since, ..Slots::clone(&slots) })
    }

    /// Signs with the next key from now on. What the current one signed holds until it expires, unless the key is
    /// compromised: then nothing it signed holds any more.
    ///
    /// Refused while the next key is so young that others may not know it, or what the previous one signed still holds:
    /// a compromised key goes all the same.
    pub fn rotate_signing_keys(&self, is_compromised: bool) -> Result<SigningKeys, RotationFault> {
        self.keyring.reread()?;
        let slots = self.keyring.slots();
        let (now, _) = self.clock.now().seconds_and_nanos();
        let age = Duration::from_secs(u64::try_from(now.saturating_sub(slots.since)).unwrap_or(0));
        if !is_compromised
            && slots.have_moved
            && age < (2 * JWKS_MAX_AGE).max(ACCESS_TOKEN_LIFE_MAX + Duration::from_secs(60))
        {
            return Err(RotationFault::Fresh(age));
        }
        let moved = Slots {
            next: SigningKey::generate(),
            current: slots.next.clone(),
            previous: (!is_compromised).then(|| slots.current.clone()),
            since: now,
            have_moved: true,
        };
        self.keyring.put(moved)?;
        self.take_over_keys();
        Ok(self.signing_keys())
    }

    /// Reads the key file again if the log says that somebody else replaced the keys.
    pub(crate) fn follow_keys(&self) {
        let world = self.replica.world.load();
        let Some(current) = world.signing_key() else { return };
        if self.tokens.signs_with(current) || !(self.is_news(current) || self.may_reread()) {
            return;
        }
        self.reread_keys();
    }

    /// Reads the key file again, for a token signed with a key that is not known here.
    pub(crate) fn reread_keys(&self) {
        if let Err(fault) = self.keyring.reread() {
            tracing::warn!(%fault, "the key file cannot be read again");
        }
        self.take_over_keys();
    }

    /// Whether the log names this key for the first time here: the file has it by now, and what a compromised one signed must
    /// not hold until it may be looked at again.
    fn is_news(&self, current: &str) -> bool {
        let mut followed = self.key_followed.lock();
        let is_news = *followed != current;
        if is_news {
            current.clone_into(&mut followed);
        }
        is_news
    }

    /// Whether so much time has passed since the file was last looked at that it may be looked at again.
    pub(crate) fn may_reread(&self) -> bool {
        let mut last = self.keys_read.lock();
        let is_due = last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
        if is_due {
            *last = Some(std::time::Instant::now());
        }
        is_due
    }

    fn take_over_keys(&self) {
        self.tokens.take_over(&self.keyring);
        // What was remembered as well signed may be signed with a key that is gone.
        self.remembered.forget_accepted();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use cairn_kernel::{Position, Principal, PrincipalKind, SystemClock};

    use super::*;
    use crate::{AuthenticationFault, Change, Credential, Keyring, Standing, World};

    fn world() -> World {
        let mut world = World::default();
        world.apply(Change::PrincipalIs { principal: "users/ada".into(), standing: Standing::Active }, Position(1));
        let credential =
            Credential { owner: "users/ada".into(), key: None, expire_time: None, is_revoked: false, login_time: None };
        world.apply(Change::CredentialGiven { id: "ses-1".into(), credential, now: Time::default() }, Position(2));
        world
    }

    fn access(keyring: Keyring) -> Arc<Access> {
        Access::fixed(world(), Arc::new(SystemClock), Arc::new(keyring))
    }

    fn token(access: &Access) -> String {
        let principal = Principal {
            name: "users/ada".into(),
            kind: PrincipalKind::User,
            credential: Some("ses-1".into()),
            scopes: vec![],
        };
        access.issue(&principal, &[], ACCESS_TOKEN_LIFE_MAX)
    }

    #[test]
    fn keys_move_through_three_places_and_what_the_one_before_signed_still_holds() {
        let access = access(Keyring::generate());
        let (before, token) = (access.signing_keys(), token(&access));
        assert_eq!((access.keyring().public_keys().len(), before.previous.as_ref()), (2, None));
        let after = access.rotate_signing_keys(false).unwrap();
        assert_eq!((&after.current, after.previous.as_ref()), (&before.next, Some(&before.current)));
        assert_eq!(access.keyring().public_keys().len(), 3);
        assert!(access.authenticate(&token).is_ok(), "signed before");
        assert!(access.authenticate(&super::tests::token(&access)).is_ok(), "signed since");
        // Nobody may have read the key that would sign now.
        assert!(matches!(access.rotate_signing_keys(false), Err(RotationFault::Fresh(_))));
    }

    #[test]
    fn nothing_holds_that_a_compromised_key_signed() {
        let access = access(Keyring::generate());
        let token = token(&access);
        assert!(access.authenticate(&token).is_ok(), "and it is remembered");
        let after = access.rotate_signing_keys(true).unwrap();
        assert_eq!(after.previous, None);
        assert_eq!(access.authenticate(&token), Err(AuthenticationFault::Signature));
    }

    #[test]
    fn keys_of_the_file_outlive_the_process_and_reach_others_that_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let (one, other) = (access(Keyring::open(&path).unwrap()), access(Keyring::open(&path).unwrap()));
        assert_eq!(one.signing_keys(), other.signing_keys());
        one.rotate_signing_keys(true).unwrap();
        let after = one.rotate_signing_keys(true).unwrap();
        // Signed with a key that the other process has never seen.
        assert!(other.authenticate(&token(&one)).is_ok());
        assert_eq!(other.signing_keys(), after);
        assert_eq!(access(Keyring::open(&path).unwrap()).signing_keys(), after);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn a_file_of_before_there_was_a_next_key_gets_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let made = access(Keyring::open(&path).unwrap()).signing_keys();
        let mut stored: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        stored.as_object_mut().unwrap().retain(|key, _| !key.starts_with("access_key") || key == "access_key");
        fs::write(&path, stored.to_string()).unwrap();
        let opened = access(Keyring::open(&path).unwrap()).signing_keys();
        assert_eq!(opened.current, made.current);
        assert_eq!(access(Keyring::open(&path).unwrap()).signing_keys(), opened, "and keeps it");
    }
}
