//! Roles of one duty: they stand beside those of everyday work, and hold neither more nor less of it than the duty needs.

use crate::role::STANDING;

/// A role of one duty.
pub(crate) struct Specialist {
    pub name: &'static str,
    pub description: &'static str,
    /// Whose reading is part of it: words that begin so and change nothing.
    reads: &'static [&'static str],
    /// What else it takes.
    words: &'static [&'static str],
}

impl Specialist {
    /// Whether the role holds a word, which changes nothing in the work of a project if `is_reading`.
    pub fn holds(&self, word: &str, is_reading: bool) -> bool {
        let reads = |prefix: &&str| is_reading && word.starts_with(prefix);
        STANDING.contains(&word) || self.words.contains(&word) || self.reads.iter().any(reads)
    }
}

/// Those that are built in.
pub(crate) const SPECIALISTS: &[Specialist] = &[
    Specialist {
        name: "auditor",
        description: "reads what was done, who may do what, and what is configured: never data, never a secret",
        reads: &["config.", "registry.policies.", "registry.promotions.", "registry.hooks.", "registry.deliveries."],
        words: &[
            "auth.addresses.open",
            "auth.apiKeys.get",
            "auth.apiKeys.list",
            "auth.bindings.get",
            "auth.bindings.list",
            "auth.breakGlass.get",
            "auth.breakGlass.list",
            "auth.decisions.explain",
            "auth.groupMembers.list",
            "auth.groups.get",
            "auth.groups.list",
            "auth.guardrails.get",
            "auth.guardrails.list",
            "auth.identityProviders.get",
            "auth.identityProviders.list",
            "auth.oauthClients.get",
            "auth.oauthClients.list",
            "auth.organizations.get",
            "auth.organizations.list",
            "auth.permissions.check",
            "auth.serviceAccounts.get",
            "auth.serviceAccounts.list",
            "auth.signingKeys.get",
            "auth.trustRules.get",
            "auth.trustRules.list",
            "config.keepers.inspect",
            "ledger.audit.read",
            "ledger.events.read",
            "ledger.lineage.read",
        ],
    },
    Specialist {
        name: "approver",
        description: "approves promotions, and reads the models and the runs that they are about",
        reads: &["registry.", "experiments.", "ledger.lineage."],
        words: &["registry.promotions.approve"],
    },
    Specialist {
        name: "operator",
        description: "keeps running what is in use: sees everything in a project, sets configuration, looks after hooks",
        reads: &[""],
        words: &["config.entries.update", "config.keepers.inspect", "registry.hooks.administer"],
    },
    Specialist {
        name: "security-admin",
        description: "looks after keys, logins, trust, denials and erasure: never data",
        reads: &[],
        words: &[
            "auth.addresses.open",
            "auth.apiKeys.get",
            "auth.apiKeys.list",
            "auth.apiKeys.revoke",
            "auth.bindings.delete",
            "auth.bindings.deny",
            "auth.bindings.get",
            "auth.bindings.grant",
            "auth.bindings.list",
            "auth.breakGlass.end",
            "auth.breakGlass.get",
            "auth.breakGlass.list",
            "auth.breakGlass.review",
            "auth.decisions.explain",
            "auth.groupMembers.list",
            "auth.groupMembers.remove",
            "auth.groups.get",
            "auth.groups.list",
            "auth.guardrails.check",
            "auth.guardrails.create",
            "auth.guardrails.delete",
            "auth.guardrails.get",
            "auth.guardrails.list",
            "auth.guardrails.update",
            "auth.identityProviders.check",
            "auth.identityProviders.create",
            "auth.identityProviders.delete",
            "auth.identityProviders.get",
            "auth.identityProviders.list",
            "auth.identityProviders.update",
            "auth.oauthClients.create",
            "auth.oauthClients.delete",
            "auth.oauthClients.get",
            "auth.oauthClients.list",
            "auth.organizations.get",
            "auth.organizations.list",
            "auth.permissions.check",
            "auth.permissions.preview",
            "auth.serviceAccounts.disable",
            "auth.serviceAccounts.enable",
            "auth.serviceAccounts.get",
            "auth.serviceAccounts.list",
            "auth.sessions.list",
            "auth.sessions.revoke",
            "auth.signingKeys.get",
            "auth.signingKeys.rotate",
            "auth.tokens.introspect",
            "auth.trustRules.create",
            "auth.trustRules.delete",
            "auth.trustRules.get",
            "auth.trustRules.list",
            "auth.users.delete",
            "auth.users.disable",
            "auth.users.enable",
            "auth.users.erase",
            "auth.users.get",
            "auth.users.list",
            "config.keepers.inspect",
            "config.keepers.rotate",
            "ledger.audit.read",
            "ledger.epochs.open",
            "ledger.signing.rotate",
            "registry.signing.administer",
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Roles;

    fn held(role: &str) -> Vec<&'static str> {
        Roles::built_in().find(&format!("roles/{role}")).unwrap().permissions().collect()
    }

    #[test]
    fn the_words_spelled_out_here_are_words_of_the_contract() {
        for specialist in SPECIALISTS {
            for word in specialist.words {
                assert!(Roles::built_in().knows(word), "{}: {word} is no permission of the contract", specialist.name);
            }
            for prefix in specialist.reads {
                let reads = held(specialist.name).iter().any(|word| word.starts_with(prefix));
                assert!(reads, "{}: nothing begins with {prefix}", specialist.name);
            }
        }
    }

    #[test]
    fn who_watches_sees_no_data_and_no_secret_and_changes_nothing() {
        for word in held("auditor") {
            let is_data = word.starts_with("experiments.") || word.contains("Versions.") || word.contains(".models.");
            let reveals = word.ends_with(".download") || word == "config.secrets.access";
            assert!(!is_data && !reveals, "{word}");
            let verb = word.rsplit('.').next().unwrap();
            // Where people come from is sealed, and who opens it is on record.
            let is_reading = ["get", "list", "read", "explain", "check", "inspect"].contains(&verb);
            assert!(is_reading || word == "auth.addresses.open", "{word}");
        }
    }

    #[test]
    fn who_looks_after_keys_sees_no_data_and_opens_no_secret_and_makes_no_key() {
        for word in held("security-admin") {
            let is_data = word.starts_with("experiments.")
                || word.starts_with("config.entries.")
                || word.starts_with("config.secrets.")
                || (word.starts_with("registry.") && word != "registry.signing.administer");
            let makes = ["auth.apiKeys.create", "auth.apiKeys.rotate", "auth.bindings.escalate"].contains(&word);
            assert!(!is_data && !makes, "{word}");
        }
    }

    #[test]
    fn who_approves_changes_nothing_else() {
        let viewer = held("viewer");
        let more: Vec<_> = held("approver").into_iter().filter(|word| !viewer.contains(word)).collect();
        assert_eq!(more, ["registry.promotions.approve"]);
        assert!(!held("approver").iter().any(|word| word.starts_with("config.")));
    }
}
