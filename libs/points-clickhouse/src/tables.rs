/// What the names of fences begin with; the number of a writer follows.
pub(crate) const FENCE: &str = "metrics_fence_";

/// The tables, in the order in which they are made.
///
/// `metrics` holds every point as it was logged, a point that was logged twice two times. `time` is the client's, in
/// milliseconds since 1970, of the whole range that clients may send; `logged` is the log's, and never runs backwards along
/// `position`. So what lies behind a position is in the last partitions, and a batch can be kept within one.
///
/// `metrics_summary` folds every block that comes in into a few rows, `metrics_summary_values` shows them as numbers. NaN is no
/// number: it counts as a point, and as the last one.
pub(crate) fn create() -> [String; 7] {
    [
        "CREATE TABLE IF NOT EXISTS metrics (
             project String, run String, name String, time Int64, step Int64, value Float64, position UInt64, logged DateTime
         ) ENGINE = MergeTree PARTITION BY toYYYYMM(logged, 'UTC') ORDER BY (run, name, time, step)"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS metrics_summary_states (
             project String, run String, name String,
             min_state AggregateFunction(minIf, Float64, UInt8),
             max_state AggregateFunction(maxIf, Float64, UInt8),
             mean_state AggregateFunction(avgIf, Float64, UInt8),
             numbers_state AggregateFunction(sum, UInt8),
             last_state AggregateFunction(argMax, Float64, Tuple(Int64, Int64, UInt8, Float64)),
             count_state AggregateFunction(count),
             position_state AggregateFunction(max, UInt64)
         ) ENGINE = AggregatingMergeTree ORDER BY (run, name, project)"
            .to_owned(),
        format!("CREATE MATERIALIZED VIEW IF NOT EXISTS metrics_summary TO metrics_summary_states AS {}", summed("metrics")),
        "CREATE VIEW IF NOT EXISTS metrics_summary_values AS
         SELECT project, run, name,
             if(sumMerge(numbers_state) = 0, nan, minIfMerge(min_state)) AS min,
             if(sumMerge(numbers_state) = 0, nan, maxIfMerge(max_state)) AS max,
             argMaxMerge(last_state) AS last,
             avgIfMerge(mean_state) AS mean,
             countMerge(count_state) AS count
         FROM metrics_summary_states GROUP BY project, run, name"
            .to_owned(),
        // What MLflow's clients measure of the machine that a run is on.
        "CREATE VIEW IF NOT EXISTS system_metrics AS
         SELECT project, run, name, time, step, value FROM metrics WHERE startsWith(name, 'system/')"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS metrics_checkpoint (id UInt8, position UInt64, event String, time Int64)
         ENGINE = ReplacingMergeTree(position) ORDER BY id"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS metrics_shard (number UInt32, shards UInt32) ENGINE = TinyLog".to_owned(),
    ]
}

/// All points of several servers, for those who ask any of them.
pub(crate) fn create_over(cluster: &str, database: &str) -> String {
    let engine = format!("Distributed({cluster}, {database}, metrics)");
    format!("CREATE TABLE IF NOT EXISTS metrics_everywhere AS metrics ENGINE = {engine}")
}

/// The rows of the summary that come of some points.
pub(crate) fn summed(points: &str) -> String {
    format!(
        "SELECT project, run, name,
             minIfState(value, NOT isNaN(value)) AS min_state,
             maxIfState(value, NOT isNaN(value)) AS max_state,
             avgIfState(value, NOT isNaN(value)) AS mean_state,
             sumState(toUInt8(NOT isNaN(value))) AS numbers_state,
             argMaxState(value, tuple(step, time, toUInt8(NOT isNaN(value)), value)) AS last_state,
             countState() AS count_state,
             maxState(position) AS position_state
         FROM {points} GROUP BY project, run, name"
    )
}

/// How a server is told to drop a table and to wait until nobody uses it. The oldest ones always do.
pub(crate) fn drop_fence(number: u64, server_major: u32) -> String {
    let wait = match server_major {
        0..20 => "",
        20 => " NO DELAY",
        _ => " SYNC",
    };
    format!("DROP TABLE IF EXISTS {FENCE}{number}{wait}")
}
