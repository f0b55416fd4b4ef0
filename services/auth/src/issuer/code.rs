use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::scope::Scope;
use crate::desk::Desk;

/// How long a code may take from here to the application and back.
pub const CODE_LIFE: Duration = Duration::from_secs(60);
const SEAL: &str = "authorization codes";

/// An authorization code: all that it stands for, sealed. Nothing is kept here until it is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Code {
    /// Makes one session only.
    pub id: String,
    pub owner: String,
    pub client: String,
    pub redirect_uri: String,
    pub challenge: String,
    pub nonce: String,
    pub scope: String,
    pub auth_time_micros: i64,
    pub identity_provider: String,
    pub provider_session: String,
    /// The browser's session, which must still hold when the code is used.
    pub session: String,
    pub expires: i64,
}

impl Code {
    pub fn seal(&self, desk: &Desk) -> String {
        desk.access.keyring().seal(SEAL, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// What a code stands for, if it is one and its time is not over.
    pub fn read(desk: &Desk, text: &str) -> Option<Self> {
        let code: Self = serde_json::from_slice(&desk.access.keyring().unseal(SEAL, text)?).ok()?;
        let (now, _) = desk.now().seconds_and_nanos();
        (now < code.expires).then_some(code)
    }

    pub fn scope(&self) -> Scope {
        Scope::read(&self.scope).unwrap_or_default()
    }
}
