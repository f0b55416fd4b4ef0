//! Sealed bytes as text, for what keeps text: metadata of events, JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_kernel::Name;

use crate::{SealFault, Sealed, Sealer, Sensitive};

/// How a sealed text begins, to tell it from one of the time before it was sealed.
const MARK: &str = "sealed:";

/// Whether a text is a sealed one.
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(MARK)
}

impl Sealer {
    /// Seals a text under the subject's standing key.
    pub async fn seal_text(&self, subject: &Name, purpose: &str, text: &str) -> Result<String, SealFault> {
        self.seal(subject, purpose, text.to_owned().into()).await.map(|sealed| sealed.to_text())
    }

    /// Opens a sealed text. One that was never sealed is what it is.
    pub async fn open_text(&self, subject: &Name, purpose: &str, text: &str) -> Result<Sensitive, SealFault> {
        let Some(sealed) = text.strip_prefix(MARK) else { return Ok(text.to_owned().into()) };
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealFault::Malformed)?;
        self.open(subject, purpose, &sealed).await
    }
}

impl Sealed {
    /// As text.
    pub fn to_text(&self) -> String {
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(self.as_bytes()))
    }
}
