use zeroize::Zeroizing;

/// Bytes that nobody may see: not shown, not serialized, wiped when dropped.
pub struct Sensitive(Zeroizing<Vec<u8>>);

impl Sensitive {
    /// The bytes themselves. Named so that each use is seen.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Sensitive {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<String> for Sensitive {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}
