use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::SignatureFault;
use crate::key::PublicKey;
use crate::statement::{Content, MEDIA_TYPE, read};

/// The form of bundle that signing tools write.
const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A signature file, read. What it says counts for nothing before [`Bundle::judge`].
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    maker: Maker,
    payload: Vec<u8>,
    signature: Vec<u8>,
    content: Content,
}

/// Who says to have made it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Maker {
    /// The key of this fingerprint. `None`: a key that it does not name.
    Key(Option<String>),
    /// Whoever a certificate names.
    Certificate,
}

/// What a signature that speaks of the right files is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key at this place of those given made it.
    Verified(usize),
    Untrusted(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<KeyHint>,
}

#[derive(Deserialize)]
struct KeyHint {
    hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

impl Bundle {
    /// Reads a signature file. How large it may be, whoever read its bytes has decided.
    pub fn read(bytes: &[u8]) -> Result<Self, SignatureFault> {
        let malformed = |problem: String| SignatureFault::Malformed(problem);
        let written: Written = serde_json::from_slice(bytes).map_err(|fault| malformed(fault.to_string()))?;
        expect("mediaType", &written.media_type, BUNDLE_MEDIA_TYPE)?;
        let envelope = written.dsse_envelope;
        expect("payloadType", &envelope.payload_type, MEDIA_TYPE)?;
        let [signature] = envelope.signatures.as_slice() else {
            return Err(malformed(format!("it has {} signatures, not one", envelope.signatures.len())));
        };
        let decode = |what: &str, text: &str| {
            STANDARD.decode(text).map_err(|fault| malformed(format!("{what} is no base64: {fault}")))
        };
        let payload = decode("payload", &envelope.payload)?;
        let maker = match written.verification_material.public_key {
            Some(key) => Maker::Key(key.hint.filter(|hint| !hint.is_empty())),
            None => Maker::Certificate,
        };
        let content = read(&payload)?;
        Ok(Self { maker, signature: decode("sig", &signature.sig)?, payload, content })
    }

    /// The fingerprint of the key that it says to be made with.
    pub fn key_hint(&self) -> Option<&str> {
        match &self.maker {
            Maker::Key(hint) => hint.as_deref(),
            Maker::Certificate => None,
        }
    }

    /// What it is worth to who trusts these keys, for a model of these files: paths, each with its SHA-256 in
    /// hexadecimal.
    ///
    /// Whoever made it, it must speak of just these files: a signature beside others is a mistake or worse.
    pub fn judge<'f>(
        &self,
        keys: &[PublicKey],
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
    ) -> Result<Verdict, SignatureFault> {
        let verdict = self.maker(keys)?;
        match &self.content {
            Content::Files(statement) => statement.compare(files)?,
            Content::Unknown(problem) => return Ok(Verdict::Untrusted(problem.clone())),
        }
        Ok(verdict)
    }

    fn maker(&self, keys: &[PublicKey]) -> Result<Verdict, SignatureFault> {
        let message = encoded(&self.payload);
        let made_it = |key: &PublicKey| key.verifies(&message, &self.signature);
        match &self.maker {
            Maker::Certificate => Ok(Verdict::Untrusted("it was made with a certificate, not with a key".to_owned())),
            Maker::Key(None) => Ok(keys.iter().position(made_it).map_or_else(
                || Verdict::Untrusted("it does not name its key, and none that is trusted made it".to_owned()),
                Verdict::Verified,
            )),
            Maker::Key(Some(hint)) => match keys.iter().position(|key| key.fingerprint() == *hint) {
                None => Ok(Verdict::Untrusted("its key is none that is trusted".to_owned())),
                Some(at) if made_it(&keys[at]) => Ok(Verdict::Verified(at)),
                Some(_) => Err(SignatureFault::Wrong { fingerprint: hint.clone() }),
            },
        }
    }
}

/// What a DSSE signature is over (its PAE): the type and the payload, each with its length.
pub(crate) fn encoded(payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {MEDIA_TYPE} {} ", MEDIA_TYPE.len(), payload.len()).into_bytes();
    message.extend(payload);
    message
}

pub(crate) fn expect(what: &str, found: &str, expected: &str) -> Result<(), SignatureFault> {
    match found == expected {
        true => Ok(()),
        false => Err(SignatureFault::Malformed(format!("{what} is {found:?}, not {expected:?}"))),
    }
}
