/// How much a project may take up. What is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectQuota {
    /// Runs that are not deleted.
    pub runs_max: Option<u64>,
    /// Runs at work at the same time.
    pub concurrent_runs_max: Option<u64>,
    /// Bytes of files.
    pub storage_bytes_max: Option<u64>,
    /// Requests that it may be sent; `None`: as many as any project.
    pub requests_per_second: Option<u32>,
}
