cairn_kernel::settings! {
    /// How much the registry keeps.
    pub struct Config: "registry" checked by problems {
        /// Versions of one model. Numbers are never given twice, so deleted versions count.
        versions_per_model_max: u64 = 1_000_000;
        /// Files of one version that are noted with their digests when it is registered. One that has more is registered
        /// without the list, and cannot be signed.
        files_per_version_max: u64 = 4000;
        /// Largest signature over a version's files, in bytes.
        signature_bytes_max: u64 = 4 << 20;
        /// Queries of the read model that run at the same time.
        readers: u64 = 8;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let limits = [
        ("versions_per_model_max", config.versions_per_model_max, 1, u64::from(u32::MAX)),
        ("files_per_version_max", config.files_per_version_max, 1, 20_000),
        ("signature_bytes_max", config.signature_bytes_max, 1, 64 << 20),
        ("readers", config.readers, 1, 256),
    ];
    limits
        .into_iter()
        .filter(|(_, value, min, max)| value < min || value > max)
        .map(|(name, _, min, max)| format!("{name} must be {min} to {max}"))
        .collect()
}
