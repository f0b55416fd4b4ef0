/// Why a queue did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueFault {
    /// It cannot be reached, does not answer, or could not do it now. Whether it was done is not known.
    #[error("{0}")]
    Away(String),
    /// A partition holds as much as it may. Nothing was put into it.
    #[error("{0}")]
    Full(String),
    /// Somebody has to change something first.
    #[error("{0}")]
    Unsuitable(String),
}

impl QueueFault {
    /// Whether it may be otherwise in a moment.
    pub fn is_passing(&self) -> bool {
        !matches!(self, Self::Unsuitable(_))
    }
}
