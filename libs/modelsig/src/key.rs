use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

/// No key of ours is longer: P-521 takes 268 bytes of PEM.
const PEM_BYTES_MAX: usize = 4096;
/// How many letters stand on a line of a PEM.
const LINE: usize = 64;

/// What stands before the point in the DER of a key, and the digest its signatures are over. The bytes name the curve,
/// and there is one way to write them, so that nothing else of ASN.1 has to be understood.
const CURVES: [(&[u8], &EcdsaVerificationAlgorithm); 3] = [
    (
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
        &ECDSA_P256_SHA256_ASN1,
    ),
    (
        b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
        &ECDSA_P384_SHA384_ASN1,
    ),
    (
        b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00",
        &ECDSA_P521_SHA512_ASN1,
    ),
];

/// A key whose signatures may count: on P-256, P-384 or P-521.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    pem: String,
    curve: usize,
    point: Vec<u8>,
}

/// Why a text is no such key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("it is longer than {PEM_BYTES_MAX} bytes")]
    TooLong,
    #[error("it holds no PUBLIC KEY in PEM: {0}")]
    Pem(String),
    #[error("it is no uncompressed elliptic curve key on P-256, P-384 or P-521")]
    Curve,
    #[error("its point is not on its curve")]
    Point,
}

impl PublicKey {
    /// The key as everybody writes it: lines of 64 letters.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Names the key: SHA-256 of its PEM in hexadecimal, which is what signatures call it.
    pub fn fingerprint(&self) -> String {
        hex::encode(digest(&SHA256, self.pem.as_bytes()))
    }

    /// Whether this key signed a message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (_, algorithm) = CURVES[self.curve];
        let key = ParsedPublicKey::new(algorithm, &self.point);
        key.is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        if text.len() > PEM_BYTES_MAX {
            return Err(KeyFault::TooLong);
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes());
        let der = der.map_err(|fault| KeyFault::Pem(fault.to_string()))?;
        let point_of = |(curve, (head, _)): (usize, &(&[u8], _))| {
            der.strip_prefix(*head).filter(|point| point.first() == Some(&4)).map(|point| (curve, point.to_vec()))
        };
        let (curve, point) = CURVES.iter().enumerate().find_map(point_of).ok_or(KeyFault::Curve)?;
        ParsedPublicKey::new(CURVES[curve].1, &point).map_err(|_| KeyFault::Point)?;
        Ok(Self { pem: pem(&der), curve, point })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.fingerprint()).finish()
    }
}

fn pem(der: &[u8]) -> String {
    let mut text = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    let letters = STANDARD.encode(der);
    let mut rest = letters.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END PUBLIC KEY-----\n");
    text
}
