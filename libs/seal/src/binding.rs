use cairn_kernel::Name;

use crate::sealed::{FORMAT, KeyId};

/// What sealed bytes, or a wrapped key, belong to: authenticated with them, so that neither can be put in another's
/// place.
///
/// INVARIANT: every part stands behind its length, so that no two bindings are the same bytes.
pub(crate) struct Binding<'a> {
    pub deployment: &'a str,
    /// A resource name, which holds project, id and version where there are any.
    pub subject: &'a Name,
    pub key: &'a KeyId,
}

impl Binding<'_> {
    /// For what is sealed for a purpose.
    pub fn of_message(&self, purpose: &str) -> Vec<u8> {
        self.with("message", purpose)
    }

    /// For the key itself, when it is wrapped.
    pub fn of_key(&self) -> Vec<u8> {
        self.with("key", "")
    }

    fn with(&self, kind: &str, purpose: &str) -> Vec<u8> {
        let subject = self.subject.as_str();
        let parts: [&[u8]; 7] = [
            b"cairn-seal",
            &[FORMAT],
            kind.as_bytes(),
            self.deployment.as_bytes(),
            subject.as_bytes(),
            purpose.as_bytes(),
            self.key.as_bytes(),
        ];
        let mut bytes = vec![];
        for part in parts {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}
