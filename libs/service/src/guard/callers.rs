use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_access::Access;
use cairn_kernel::{Clock, Principal};
use moka::Expiry;
use moka::sync::Cache;

use crate::Refusal;

/// Turns principal tokens into principals. A token is verified once and remembered until it expires: a signature costs
/// fifty times what a look-up does. Revocation does not wait for that, because each decision asks the replica again.
pub(crate) struct Callers {
    access: Arc<Access>,
    clock: Arc<dyn Clock>,
    verified: Cache<String, Verified>,
}

#[derive(Clone)]
struct Verified {
    principal: Principal,
    time_left: Duration,
}

impl Callers {
    pub fn new(access: Arc<Access>, clock: Arc<dyn Clock>, tokens_max: u64) -> Self {
        Self { access, clock, verified: Cache::builder().max_capacity(tokens_max).expire_after(UntilExpiry).build() }
    }

    /// Who calls; without a token, nobody we know.
    pub fn identify(&self, token: Option<&str>) -> Result<Principal, Refusal> {
        let Some(token) = token else { return Ok(Principal::anonymous()) };
        if let Some(verified) = self.verified.get(token) {
            return Ok(verified.principal);
        }
        let principal = self.access.verify(token).map_err(Refusal::from)?;
        if let Some(time_left) = self.time_left(token) {
            self.verified.insert(token.to_owned(), Verified { principal: principal.clone(), time_left });
        }
        Ok(principal)
    }

    /// How long a token that has been verified is still good.
    fn time_left(&self, token: &str) -> Option<Duration> {
        let expiry = expiry_seconds(token)?;
        let (now, _) = self.clock.now().seconds_and_nanos();
        let left = u64::try_from(expiry.checked_sub(now)?).ok().filter(|left| *left > 0)?;
        Some(Duration::from_secs(left))
    }
}

/// The `exp` claim of a token.
fn expiry_seconds(token: &str) -> Option<i64> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<serde_json::Value>(&claims).ok()?.get("exp")?.as_i64()
}

struct UntilExpiry;

impl Expiry<String, Verified> for UntilExpiry {
    fn expire_after_create(&self, _: &String, verified: &Verified, _: Instant) -> Option<Duration> {
        Some(verified.time_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_of_a_token_is_read_from_its_claims() {
        let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(expiry_seconds(&token(r#"{"exp": 1700000000, "sub": "users/a"}"#)), Some(1_700_000_000));
        assert_eq!(expiry_seconds(&token(r#"{"exp": "soon"}"#)), None);
        assert_eq!(expiry_seconds(&token("[]")), None);
        assert_eq!(expiry_seconds("no token"), None);
    }
}
