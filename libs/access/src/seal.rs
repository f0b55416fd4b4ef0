//! What Cairn gives out to get back unchanged: marks that nobody else can make, and words that nobody else can read.
//!
//! Both rest on the pepper, each use on a key of its own.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Keyring;

const NONCE_BYTES: usize = 12;

impl Keyring {
    /// A mark over some parts, for one purpose: 43 characters of base64url.
    pub fn mark(&self, purpose: &str, parts: &[&str]) -> String {
        let bytes = joined("mark", purpose, parts);
        let mut tags = self.tags(&bytes);
        URL_SAFE_NO_PAD.encode(tags.next().expect("there is a pepper"))
    }

    /// Marks under every pepper, that of the current one first: for looking up what was kept under a mark.
    pub fn marks(&self, purpose: &str, parts: &[&str]) -> Vec<String> {
        self.tags(&joined("mark", purpose, parts)).map(|tag| URL_SAFE_NO_PAD.encode(tag)).collect()
    }

    /// Whether a mark is ours, for this purpose and these parts. Takes as long for a wrong one as for the right one.
    pub fn is_mark(&self, purpose: &str, parts: &[&str], mark: &str) -> bool {
        let marks = self.marks(purpose, parts);
        let same = |ours: &String| constant_time::verify_slices_are_equal(ours.as_bytes(), mark.as_bytes()).is_ok();
        marks.iter().fold(false, |found, ours| found | same(ours))
    }

    /// Words that only we can read, and nobody can change unnoticed: base64url.
    pub fn seal(&self, purpose: &str, words: &[u8]) -> String {
        let mut sealed = words.to_vec();
        let key = self.sealing_keys(purpose).next().expect("there is a pepper");
        let nonce = key
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed)
            .expect("a few kilobytes can be sealed");
        let mut text = nonce.as_ref().to_vec();
        text.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(text)
    }

    /// What was sealed for this purpose; nothing when it was not, or not here.
    pub fn unseal(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        self.sealing_keys(purpose).find_map(|key| {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let words = key.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut sealed).ok()?;
            Some(words.to_vec())
        })
    }

    fn sealing_keys(&self, purpose: &str) -> impl Iterator<Item = RandomizedNonceKey> {
        let tags: Vec<_> = self.tags(&joined("seal", purpose, &[])).collect();
        tags.into_iter().filter_map(|tag| RandomizedNonceKey::new(&AES_256_GCM, tag.as_ref()).ok())
    }
}

/// Parts without a zero byte are joined in one way only; and never to what a key of an API is hashed as, which begins
/// with twelve characters of an id, or with none.
fn joined(use_: &str, purpose: &str, parts: &[&str]) -> Vec<u8> {
    let mut bytes = format!("cairn {use_} of {purpose}").into_bytes();
    for part in parts {
        bytes.push(0);
        // Whoever chooses one part must not reach into the next.
        bytes.extend_from_slice(part.replace('\0', "\u{fffd}").as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_fits_one_purpose_and_its_parts() {
        let keyring = Keyring::generate();
        let mark = keyring.mark("a", &["b", "c"]);
        assert_eq!(mark.len(), 43);
        assert!(keyring.is_mark("a", &["b", "c"], &mark));
        for (purpose, parts) in [("b", &["b", "c"][..]), ("a", &["bc"]), ("a", &["b", "c", ""]), ("a", &["c", "b"])] {
            assert!(!keyring.is_mark(purpose, parts, &mark), "{purpose} {parts:?}");
        }
        assert!(!keyring.is_mark("a", &["b", "c"], &mark[1..]));
        assert!(!Keyring::generate().is_mark("a", &["b", "c"], &mark));
    }

    #[test]
    fn what_is_sealed_is_read_for_its_purpose_and_unchanged_only() {
        let keyring = Keyring::generate();
        let sealed = keyring.seal("a", b"words");
        assert_eq!(keyring.unseal("a", &sealed).as_deref(), Some(&b"words"[..]));
        assert_ne!(sealed, keyring.seal("a", b"words"), "each time otherwise");
        assert_eq!(keyring.unseal("b", &sealed), None);
        assert_eq!(Keyring::generate().unseal("a", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed == sealed || keyring.unseal("a", &changed).is_none(), "{at}");
        }
        for text in ["", "AAAA", "not base64!"] {
            assert_eq!(keyring.unseal("a", text), None, "{text:?}");
        }
    }
}
