use serde::Deserialize;

/// What one call may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request message, in bytes, decompressed.
    pub message_bytes_max: usize,
    /// How long a caller that sets no deadline waits, in milliseconds.
    pub deadline_ms_default: u64,
    /// How long any caller may wait, in milliseconds.
    pub deadline_ms_max: u64,
    /// How many verified principal tokens are remembered.
    pub tokens_max: u64,
    /// Largest request, in bytes, whose text is kept in the audit log; of larger ones it keeps the digest.
    pub audit_text_bytes_max: usize,
    /// How many addresses and reasons of refused strangers are counted apart in one minute.
    pub strangers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 4 * 1024 * 1024,
            deadline_ms_default: 30_000,
            deadline_ms_max: 300_000,
            tokens_max: 10_000,
            audit_text_bytes_max: 64 * 1024,
            strangers_max: 1_000,
        }
    }
}
