use cairn_kernel::Time;

/// Where something was made before it was imported, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub source: String,
    pub create_time: Time,
}
