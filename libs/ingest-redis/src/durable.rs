//! Whether a Redis keeps what it has acknowledged.

/// What has to be set, and to what.
pub(crate) const NEEDED: [(&str, &str); 4] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("no-appendfsync-on-rewrite", "no"),
    ("maxmemory-policy", "noeviction"),
];

/// What is wrong with these settings, and what to do about it.
pub(crate) fn problem(found: &[(String, String)]) -> Option<String> {
    let of = |name: &str| found.iter().find(|(key, _)| key == name).map_or("nothing", |(_, value)| value);
    let wrong: Vec<_> = NEEDED
        .iter()
        .filter(|(name, needed)| of(name) != *needed)
        .map(|(name, needed)| format!("{name} is {}, and has to be {needed}", of(name)))
        .collect();
    (!wrong.is_empty()).then(|| {
        format!(
            "INGEST_QUEUE_NOT_DURABLE: this Redis may lose what it has acknowledged: {}; set that in its configuration, or \
             choose another queue",
            wrong.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changed: &[(&str, &str)]) -> Vec<(String, String)> {
        let value = |name: &str, needed: &str| {
            changed.iter().find(|(key, _)| *key == name).map_or(needed, |(_, value)| value).to_owned()
        };
        NEEDED.iter().map(|(name, needed)| ((*name).to_owned(), value(name, needed))).collect()
    }

    #[test]
    fn a_redis_is_good_enough_when_it_writes_before_it_answers_and_drops_nothing() {
        assert_eq!(problem(&settings(&[])), None);
        let told = problem(&settings(&[("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")])).unwrap();
        assert!(
            told.contains("appendfsync is everysec, and has to be always; maxmemory-policy is allkeys-lru"),
            "{told}"
        );
        assert!(problem(&[]).unwrap().contains("appendonly is nothing"));
    }
}
