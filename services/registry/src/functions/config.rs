use cairn_tlog::VerifyingKey;

cairn_kernel::settings! {
    /// What teams keep and publish of their functions.
    pub struct Config: "functions" checked by problems {
        /// Largest package of a version, in bytes.
        package_bytes_max: u64 = 256 << 20;
        /// Versions of one function. None is given twice, so those of deleted functions count.
        versions_per_function_max: u64 = 1000;
        /// Keys of publishers, as `cairn hub keygen` prints them. When there are any, only packages that one of them
        /// signed are published.
        trusted_keys: Vec<String> = vec![];
        /// Queries of the read model that run at the same time.
        readers: u64 = 4;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let limits = [
        ("package_bytes_max", config.package_bytes_max, 1, u64::MAX),
        ("versions_per_function_max", config.versions_per_function_max, 1, 100_000),
        ("readers", config.readers, 1, 256),
    ];
    let mut problems: Vec<String> = limits
        .into_iter()
        .filter(|(_, value, min, max)| value < min || value > max)
        .map(|(name, _, min, max)| format!("{name} must be {min} to {max}"))
        .collect();
    for key in &config.trusted_keys {
        if let Err(fault) = key.parse::<VerifyingKey>() {
            problems.push(format!("trusted_keys: {fault}"));
        }
    }
    problems
}

impl Config {
    /// The keys, which were checked when the settings were loaded.
    pub(super) fn trusted_keys(&self) -> Vec<VerifyingKey> {
        self.trusted_keys.iter().filter_map(|key| key.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use cairn_kernel::Section;

    use super::*;

    #[test]
    fn a_key_that_is_none_is_refused_at_the_start() {
        let config = Config { trusted_keys: vec!["not-a-key".into()], ..Config::default() };
        assert_eq!(config.problems().len(), 1, "{:?}", config.problems());
        assert!(Config::default().problems().is_empty());
    }
}
