/// How much a project may take up. What is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub runs_max: Option<u32>,
    pub concurrent_runs_max: Option<u32>,
    pub storage_bytes_max: Option<u64>,
    pub requests_per_second: Option<u32>,
}
