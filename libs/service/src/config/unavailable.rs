/// A name of the environment that other products gave a meaning, which this one cannot honour.
pub(super) struct Unavailable {
    pub name: &'static str,
    /// Values that ask for nothing we do not do.
    pub harmless: &'static [&'static str],
    pub why: &'static str,
}

const POSTGRES: &str = "this build keeps its data in SQLite files below the data folder; unset it";
const CLICKHOUSE: &str = "this build keeps metrics in SQLite files below the data folder; unset it";
const MINIO: &str = "this build does not take its artifact store from here; unset it, or configure `objects`";
const QUEUE: &str = "only direct ingestion exists; unset it or say `direct`";

/// Refused rather than ignored, unless a section declares the name: whoever sets one relies on it.
pub(super) const UNAVAILABLE: &[Unavailable] = &[
    Unavailable { name: "DATABASE_URL", harmless: &[], why: POSTGRES },
    Unavailable { name: "CLICKHOUSE_HOST", harmless: &[], why: CLICKHOUSE },
    Unavailable { name: "CLICKHOUSE_PORT", harmless: &[], why: CLICKHOUSE },
    Unavailable { name: "CLICKHOUSE_USER", harmless: &[], why: CLICKHOUSE },
    Unavailable { name: "CLICKHOUSE_PASSWORD", harmless: &[], why: CLICKHOUSE },
    Unavailable { name: "MINIO_ENDPOINT", harmless: &[], why: MINIO },
    Unavailable { name: "MINIO_ACCESS_KEY", harmless: &[], why: MINIO },
    Unavailable { name: "MINIO_SECRET_KEY", harmless: &[], why: MINIO },
    Unavailable { name: "INGEST_MODE", harmless: &["direct"], why: QUEUE },
    Unavailable { name: "NATS_URL", harmless: &[], why: QUEUE },
];
