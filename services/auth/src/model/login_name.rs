use cairn_kernel::newtype;

use super::PrincipalName;
use super::name::has_shape;

newtype!(
    /// `identityProviders/{identity_provider}`
    IdentityProviderName, "identity provider name", |text| has_shape(text, &["identityProviders/*"])
);
newtype!(
    /// `{owner}/sessions/{session}`
    SessionName, "session name", |text| has_shape(text, &["users/*/sessions/*", "serviceAccounts/*/sessions/*"])
);
newtype!(
    /// `oauthClients/{oauth_client}`
    OauthClientName, "client name", |text| has_shape(text, &["oauthClients/*"])
);

newtype!(
    /// `serviceAccounts/{service_account}/trustRules/{trust_rule}`
    TrustRuleName, "trust rule name", |text| has_shape(text, &["serviceAccounts/*/trustRules/*"])
);

impl IdentityProviderName {
    /// With this id.
    pub fn of(id: &str) -> Self {
        Self::stored(format!("identityProviders/{id}"))
    }

    /// Its id, which stands in its redirect address.
    pub fn id(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }
}

impl SessionName {
    /// A session of `owner`.
    pub fn of(owner: &PrincipalName, id: &str) -> Self {
        Self::stored(format!("{owner}/sessions/{id}"))
    }

    /// Its id, which tokens name.
    pub fn id(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }
}

impl OauthClientName {
    /// With this id.
    pub fn of(id: &str) -> Self {
        Self::stored(format!("oauthClients/{id}"))
    }
}
