use std::sync::Arc;
use std::time::Duration;

use cairn_kernel::{Principal, Time};
use metrics::counter;
use moka::sync::Cache;
use tracing::debug;

use crate::access::kind_of;
use crate::token::{Claims, TokenFault, Use, is_current};
use crate::{Access, ApiKey, AuthenticationFault, KeyRecord, PRINCIPAL_TOKEN_LIFE, Standing};

/// Longest key that an operator may choose.
const OPAQUE_BYTES_MAX: usize = 512;

/// Tokens signed and checked lately, since a signature costs as much as the rest of a call. Principal tokens are
/// remembered by the guard that checks them.
pub(crate) struct Remembered {
    signed: Cache<Principal, (String, Time)>,
    accepted: Cache<String, Claims>,
}

impl Remembered {
    pub fn new(tokens_max: u64) -> Self {
        let life = crate::ACCESS_TOKEN_LIFE_MAX;
        Self {
            signed: Cache::builder().max_capacity(tokens_max).time_to_live(PRINCIPAL_TOKEN_LIFE).build(),
            accepted: Cache::builder().max_capacity(tokens_max).time_to_live(life).build(),
        }
    }

    /// The next token is checked anew, whatever it is.
    pub fn forget_accepted(&self) {
        self.accepted.invalidate_all();
    }
}

/// What the mark of a browser's cookie is for.
const COOKIE: &str = "browser sessions";

impl Access {
    /// Turns an API key or an access token of ours into the principal it stands for.
    pub fn authenticate(&self, credential: &str) -> Result<Principal, AuthenticationFault> {
        if let Some(everybody) = self.everybody() {
            return Ok(everybody);
        }
        self.accept(credential).inspect_err(|fault| {
            counter!("cairn_access_credentials_refused_total", "reason" => reason(*fault)).increment(1);
        })
    }

    /// Signs a principal for the services behind the gateway: a JWT of type `cairn-principal+jwt`, valid 60 seconds.
    pub fn sign(&self, principal: &Principal) -> Result<String, AuthenticationFault> {
        let now = self.clock.now();
        if let Some((token, renew_time)) = self.remembered.signed.get(principal)
            && now < renew_time
        {
            return Ok(token);
        }
        let credential = principal.credential.as_deref().unwrap_or_default();
        let (name, scopes) = (&principal.name, &principal.scopes);
        let token = self.tokens.sign(Use::Principal, name, credential, scopes, now, PRINCIPAL_TOKEN_LIFE);
        let renew_time = now.after(PRINCIPAL_TOKEN_LIFE / 2);
        self.remembered.signed.insert(principal.clone(), (token.clone(), renew_time));
        Ok(token)
    }

    /// Reads what [`Access::sign`] wrote, here or in another process.
    pub fn verify(&self, token: &str) -> Result<Principal, AuthenticationFault> {
        let claims = self.tokens.check(Use::Principal, token, self.clock.now());
        claims.map(principal_of).map_err(told)
    }

    /// Signs an access token for a caller who came with an API key, or who is logged in: what they may do is what the
    /// credential may do, narrowed to `scopes`. It dies early with the credential.
    pub fn issue(&self, principal: &Principal, scopes: &[String], life: Duration) -> String {
        self.follow_keys();
        let credential = principal.credential.as_deref().unwrap_or_default();
        self.tokens.sign(Use::Access, &principal.name, credential, scopes, self.clock.now(), life)
    }

    /// Signs an ID token (OpenID Connect): it says who somebody is, and opens nothing here.
    pub fn issue_id(&self, claims: &serde_json::Value) -> String {
        self.follow_keys();
        self.tokens.sign_id(claims)
    }

    /// Whether a session of somebody still holds, and they are let in.
    pub fn check_credential(&self, id: &str, owner: &str) -> Result<(), AuthenticationFault> {
        self.welcome_credential(id, owner, self.clock.now())
    }

    /// When an access token was made and when it expires, in seconds since 1970; nothing for what is no such token, or
    /// does not hold.
    pub fn life_of(&self, token: &str) -> Option<(i64, i64)> {
        let claims = (token.split('.').count() == 3).then(|| self.claims(token).ok()).flatten()?;
        Some((claims.iat, claims.exp))
    }

    /// The cookie that a browser holds a session by: its id, and a mark that only we can make.
    pub fn cookie(&self, session: &str) -> String {
        format!("{session}.{}", self.keyring.mark(COOKIE, &[session]))
    }

    /// The principal whose session a browser's cookie is.
    pub fn authenticate_cookie(&self, cookie: &str) -> Result<Principal, AuthenticationFault> {
        if self.replica.freshness.refuses_everything() {
            return Err(AuthenticationFault::Stale);
        }
        let (session, mark) = cookie.split_once('.').ok_or(AuthenticationFault::Invalid)?;
        if !self.keyring.is_mark(COOKIE, &[session], mark) {
            return Err(AuthenticationFault::Invalid);
        }
        let world = self.replica.world.load();
        let credential = world.credential(session).ok_or(AuthenticationFault::Expired)?;
        let principal = Principal {
            kind: kind_of(&credential.owner),
            name: credential.owner.clone(),
            credential: Some(session.to_owned()),
            scopes: vec![],
        };
        self.welcome_credential(session, &principal.name, self.clock.now())?;
        Ok(principal)
    }

    fn accept(&self, credential: &str) -> Result<Principal, AuthenticationFault> {
        if self.replica.freshness.refuses_everything() {
            return Err(AuthenticationFault::Stale);
        }
        if credential.is_empty() {
            return Err(AuthenticationFault::Missing);
        }
        if let Ok(key) = credential.parse::<ApiKey>() {
            return self.accept_key(&key);
        }
        if let Some(principal) = self.accept_opaque(credential) {
            return principal;
        }
        if credential.split('.').count() == 3 {
            return self.accept_token(credential);
        }
        Err(AuthenticationFault::Invalid)
    }

    fn accept_key(&self, key: &ApiKey) -> Result<Principal, AuthenticationFault> {
        let world = self.replica.world.load();
        let now = self.clock.now();
        let record = world.key(key.id());
        let previous = record.and_then(|record| record.previous.as_ref()).filter(|(_, until)| now < *until);
        // INVARIANT: the same work for an unknown id as for a known one, and for a wrong secret as for the right one.
        let is_current = self.keyring.is_digest_of(record.map(|record| &record.digest), key.id(), key.secret());
        let is_previous = self.keyring.is_digest_of(previous.map(|(digest, _)| digest), key.id(), key.secret());
        match record {
            Some(record) if is_current | is_previous => self.welcome(key.id(), record, now),
            _ => Err(AuthenticationFault::Invalid),
        }
    }

    /// A key that the operator chose; nothing when it is none.
    fn accept_opaque(&self, text: &str) -> Option<Result<Principal, AuthenticationFault>> {
        let record = self.find_opaque(text)?;
        let now = self.clock.now();
        let previous = record.previous.as_ref().filter(|(_, until)| now < *until);
        let is_current = self.keyring.is_opaque_digest_of(Some(&record.digest), text);
        let is_previous = self.keyring.is_opaque_digest_of(previous.map(|(digest, _)| digest), text);
        if !(is_current | is_previous) {
            return Some(Err(AuthenticationFault::Revoked));
        }
        let id = record.name.rsplit('/').next()?;
        Some(self.welcome(id, &record, now))
    }

    /// Found by a keyed hash: how far a guess agrees with a stored digest says nothing about the text. What is found is
    /// still to be compared.
    fn find_opaque(&self, text: &str) -> Option<Arc<KeyRecord>> {
        let world = self.replica.world.load();
        if !world.has_opaque() || text.len() > OPAQUE_BYTES_MAX {
            return None;
        }
        self.keyring.opaque_digests(text).find_map(|digest| Some(Arc::clone(world.key(world.opaque(&digest)?)?)))
    }

    /// The key that a text is, whether it still holds or not.
    pub fn find_key(&self, text: &str) -> Option<Arc<KeyRecord>> {
        let Ok(key) = text.parse::<ApiKey>() else { return self.find_opaque(text) };
        let record = Arc::clone(self.replica.world.load().key(key.id())?);
        self.keyring.is_digest_of(Some(&record.digest), key.id(), key.secret()).then_some(record)
    }

    fn accept_token(&self, token: &str) -> Result<Principal, AuthenticationFault> {
        let claims = self.claims(token)?;
        let world = self.replica.world.load();
        if world.credential(&claims.key).is_some() {
            self.welcome_credential(&claims.key, &claims.sub, self.clock.now())?;
            return Ok(principal_of(claims));
        }
        let Some(record) = world.key(&claims.key).filter(|record| record.owner == claims.sub) else {
            return Err(AuthenticationFault::Revoked);
        };
        let now = self.clock.now();
        if !record.accepts_tokens_of(claims.issue_time(), now) {
            return Err(AuthenticationFault::Revoked);
        }
        self.welcome(&claims.key, record, now)?;
        Ok(principal_of(claims))
    }

    /// Lets the owner of a session in, if both still hold, and the key that it rests on does.
    fn welcome_credential(&self, id: &str, owner: &str, now: Time) -> Result<(), AuthenticationFault> {
        let world = self.replica.world.load();
        let credential = world.credential(id).filter(|credential| credential.owner == owner && !credential.is_revoked);
        let credential = credential.ok_or(AuthenticationFault::Revoked)?;
        if credential.has_expired(now) {
            return Err(AuthenticationFault::Expired);
        }
        if world.holding(id, owner, now).is_none() || world.standing(owner) != Some(Standing::Active) {
            return Err(AuthenticationFault::Revoked);
        }
        Ok(())
    }

    /// Lets the owner of a key in, if both still hold.
    fn welcome(&self, id: &str, record: &KeyRecord, now: Time) -> Result<Principal, AuthenticationFault> {
        if record.is_revoked || self.replica.world.load().standing(&record.owner) != Some(Standing::Active) {
            return Err(AuthenticationFault::Revoked);
        }
        if record.has_expired(now) {
            return Err(AuthenticationFault::Expired);
        }
        if record.is_bootstrap && !record.is_used {
            self.bootstrap_used.send_if_modified(|used| {
                let is_news = used.as_ref() != Some(&record.name);
                *used = Some(record.name.clone());
                is_news
            });
        }
        self.key_uses.note(&record.name, now);
        Ok(Principal {
            name: record.owner.clone(),
            kind: kind_of(&record.owner),
            credential: Some(id.to_owned()),
            scopes: record.scopes.iter().map(ToString::to_string).collect(),
        })
    }

    /// The claims of an access token, its signature checked now or lately.
    fn claims(&self, token: &str) -> Result<Claims, AuthenticationFault> {
        let now = self.clock.now();
        self.follow_keys();
        if let Some(claims) = self.remembered.accepted.get(token) {
            return is_current(&claims, Use::Access, now).map(|()| claims).map_err(told);
        }
        let mut checked = self.tokens.check(Use::Access, token, now);
        if checked == Err(TokenFault::UnknownKey) && self.may_reread() {
            // Somebody else may have replaced the keys just now.
            self.reread_keys();
            checked = self.tokens.check(Use::Access, token, now);
        }
        let checked = checked.inspect(|claims| {
            self.remembered.accepted.insert(token.to_owned(), claims.clone());
        });
        checked.map_err(told)
    }
}

/// Says in the log which check failed; outside, less.
fn told(fault: TokenFault) -> AuthenticationFault {
    debug!(%fault, "token refused");
    fault.into()
}

fn principal_of(claims: Claims) -> Principal {
    Principal {
        kind: kind_of(&claims.sub),
        name: claims.sub,
        credential: Some(claims.key).filter(|key| !key.is_empty()),
        scopes: claims.scope,
    }
}

/// A label from a closed set.
fn reason(fault: AuthenticationFault) -> &'static str {
    match fault {
        AuthenticationFault::Missing => "missing",
        AuthenticationFault::Invalid => "invalid",
        AuthenticationFault::Expired => "expired",
        AuthenticationFault::Revoked => "revoked",
        AuthenticationFault::Audience => "audience",
        AuthenticationFault::Signature => "signature",
        AuthenticationFault::Algorithm => "algorithm",
        AuthenticationFault::Stale => "stale",
    }
}

#[cfg(test)]
mod tests {
    use cairn_kernel::{Position, SystemClock};

    use super::*;
    use crate::keyring::tests::COMPARED;
    use crate::{Change, Digest, KeyKind, Keyring, World};

    const OWNER: &str = "users/ada";
    const CHOSEN: &str = "an-operator's-own-key";

    fn record(name: &str, digest: Digest, previous: Option<(Digest, Time)>) -> KeyRecord {
        KeyRecord {
            name: format!("{OWNER}/apiKeys/{name}"),
            owner: OWNER.into(),
            digest,
            previous,
            rotate_time: None,
            scopes: vec![],
            permissions: vec![],
            expire_time: None,
            is_revoked: false,
            is_bootstrap: false,
            is_used: false,
        }
    }

    /// What is compared when a text is presented.
    fn compared(access: &Access, text: &str) -> (bool, Vec<(usize, usize)>) {
        COMPARED.take();
        (access.authenticate(text).is_ok(), COMPARED.take())
    }

    #[test]
    fn a_wrong_secret_costs_the_same_comparisons_as_the_right_one_and_an_unknown_key_too_s1_39() {
        let keyring = Arc::new(Keyring::generate());
        let [key, wrong, rotated] =
            ["aaaaaaaaaaaa", "aaaaaaaaaaaa", "bbbbbbbbbbbb"].map(|id| ApiKey::generate(KeyKind::Personal, id));
        let unknown = ApiKey::generate(KeyKind::Personal, "cccccccccccc");
        let before = ApiKey::generate(KeyKind::Personal, "bbbbbbbbbbbb");
        let digest = |key: &ApiKey| keyring.digest(key.id(), key.secret());
        let later = Time::from_seconds_and_nanos(1 << 40, 0);
        let mut world = World::default();
        let mut apply = |change| world.apply(change, Position(1));
        apply(Change::PrincipalIs { principal: OWNER.into(), standing: Standing::Active });
        apply(Change::KeyCreated { id: key.id().into(), record: record(key.id(), digest(&key), None) });
        let overlapping = record(rotated.id(), digest(&rotated), Some((digest(&before), later)));
        apply(Change::KeyCreated { id: rotated.id().into(), record: overlapping });
        apply(Change::KeyCreated {
            id: "chosen".into(),
            record: record("chosen", keyring.opaque_digest(CHOSEN), None),
        });
        let access = Access::fixed(world, Arc::new(SystemClock), keyring);

        let (is_in, right) = compared(&access, &key.reveal());
        assert!(is_in && right.len() == 2, "{right:?}: the secret, and the one before the last rotation");
        for (text, expected) in [(&wrong, false), (&unknown, false), (&rotated, true), (&before, true)] {
            assert_eq!(compared(&access, &text.reveal()), (expected, right.clone()), "{text:?}");
        }
        let (is_in, chosen) = compared(&access, CHOSEN);
        assert!(is_in && chosen.len() == 2, "{chosen:?}");
    }
}
