//! How people log in, as far as it can be set.

use std::time::Duration;

use cairn_outbound::Allowed;

cairn_kernel::settings! {
    /// How people log in.
    pub struct Config: "login" checked by problems {
        /// The address under which people and applications reach this deployment, e.g. `https://cairn.example.org`.
        /// Providers send people back there, and applications know Cairn by it. Absent: where the gateway listens.
        public_url: Option<String> = None, env "CAIRN_PUBLIC_URL";
        /// Private addresses at which identity providers may be all the same: networks (`10.1.0.0/16`), addresses,
        /// or names of hosts. Empty: no provider is asked on this machine, its network or its cloud's metadata.
        allowed_private: Vec<String> = vec![];
        /// How long somebody stays logged in, in milliseconds, however often they come.
        session_life_ms: u64 = 12 * 3_600_000;
        /// How long an identity provider may take to answer, in milliseconds.
        provider_timeout_ms: u64 = 10_000;
        /// How long must pass, in milliseconds, before a token that names an unknown key makes a provider's keys be read
        /// again: a stranger who makes such tokens must not make us ask.
        provider_keys_again_ms: u64 = 60_000;
        /// After so many days another key signs tokens. 0: only when somebody asks for it.
        signing_key_days: u64 = 30;
    }
}

impl Config {
    /// At which private addresses providers may be.
    pub(crate) fn allowed(&self) -> Allowed {
        // What does not read was said when the settings were loaded; here it allows nothing.
        Allowed::parse(self.allowed_private.iter().map(String::as_str)).unwrap_or_default()
    }

    pub(crate) fn session_life(&self) -> Duration {
        Duration::from_millis(self.session_life_ms)
    }

    pub(crate) fn provider_keys_again(&self) -> Duration {
        Duration::from_millis(self.provider_keys_again_ms)
    }

    pub(crate) fn provider_timeout(&self) -> Duration {
        Duration::from_millis(self.provider_timeout_ms)
    }
}

fn problems(config: &Config) -> Vec<String> {
    let read = Allowed::parse(config.allowed_private.iter().map(String::as_str));
    let mut problems: Vec<String> = read.err().map(|fault| format!("allowed_private: {fault}")).into_iter().collect();
    if let Some(url) = &config.public_url {
        let is_origin = url::Url::parse(url).is_ok_and(|read| {
            read.path() == "/" && read.query().is_none() && read.fragment().is_none() && read.username().is_empty()
        });
        match crate::oidc::require_secure(url) {
            Err(fault) => problems.push(format!("public_url: {fault}")),
            Ok(()) if !is_origin => {
                problems.push("public_url must be an origin such as https://cairn.example.org".to_owned());
            }
            Ok(()) => {}
        }
    }
    let limits = [
        ("session_life_ms", config.session_life_ms, 60_000, 30 * 86_400_000),
        ("provider_timeout_ms", config.provider_timeout_ms, 100, 60_000),
        ("provider_keys_again_ms", config.provider_keys_again_ms, 500, 3_600_000),
        ("signing_key_days", config.signing_key_days, 0, 3_650),
    ];
    let wrong = limits.into_iter().filter(|(_, value, min, max)| value < min || value > max);
    problems.extend(wrong.map(|(name, _, min, max)| format!("{name} must be {min} to {max}")));
    problems
}
