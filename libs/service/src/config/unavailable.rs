/// A name of the environment that other products gave a meaning, which this one cannot honour.
pub(super) struct Unavailable {
    pub name: &'static str,
    pub why: &'static str,
}

const POSTGRES: &str = "this build keeps its data in SQLite files below the data folder; unset it";
const CLICKHOUSE: &str = "this build keeps metrics in SQLite files below the data folder; unset it";
const MINIO: &str = "this build does not take its artifact store from here; unset it, or configure `objects`";
const QUEUE: &str = "this build ingests directly, without a queue; unset it";

/// Refused rather than ignored, unless a section declares the name: whoever sets one relies on it.
pub(super) const UNAVAILABLE: &[Unavailable] = &[
    Unavailable { name: "DATABASE_URL", why: POSTGRES },
    Unavailable { name: "CLICKHOUSE_HOST", why: CLICKHOUSE },
    Unavailable { name: "CLICKHOUSE_PORT", why: CLICKHOUSE },
    Unavailable { name: "CLICKHOUSE_USER", why: CLICKHOUSE },
    Unavailable { name: "CLICKHOUSE_PASSWORD", why: CLICKHOUSE },
    Unavailable { name: "MINIO_ENDPOINT", why: MINIO },
    Unavailable { name: "MINIO_ACCESS_KEY", why: MINIO },
    Unavailable { name: "MINIO_SECRET_KEY", why: MINIO },
    Unavailable { name: "NATS_URL", why: QUEUE },
    Unavailable { name: "REDIS_URL", why: QUEUE },
];
