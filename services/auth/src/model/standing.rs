/// Whether a principal exists and is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Never created.
    #[default]
    Absent,
    Active,
    /// Refused everything until enabled.
    Disabled,
    /// Gone for ever; the name stays taken.
    Deleted,
}
