use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// An event as the tree has it, with its data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    pub position: u64,
    pub stream: String,
    pub revision: u64,
    #[serde(rename = "type")]
    pub kind: String,
    pub time: String,
    pub principal: String,
    #[serde(default)]
    pub resource: String,
    #[serde(default)]
    pub request_id: String,
    #[serde(default)]
    pub decision_id: String,
    /// Over salt and data.
    payload_sha256: String,
    /// `None`: it holds something that nobody is shown.
    #[serde(skip)]
    pub payload: Option<Vec<u8>>,
}

impl Event {
    /// Reads an entry of the tree.
    pub fn read(entry: &str) -> Option<Self> {
        serde_json::from_str(entry).ok()
    }

    /// Whether salted data is what the entry has the digest of.
    pub fn is_of(&self, salted: &[u8]) -> bool {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, salted);
        self.payload_sha256 == STANDARD.encode(digest)
    }

    /// Its data, if it is of this type.
    pub fn message<M: prost::Name + Default>(&self) -> Option<M> {
        if self.kind != M::full_name() {
            return None;
        }
        M::decode(self.payload.as_deref()?).ok()
    }
}
