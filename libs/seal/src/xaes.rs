//! XAES-256-GCM, as C2SP describes it: AES-256-GCM with a 192-bit nonce, half of which derives the key of the message.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::data_key::KEY_BYTES;

/// Length of a nonce, in bytes.
pub(crate) const NONCE_BYTES: usize = 24;
const BLOCK_BYTES: usize = 16;

/// Encrypts in place under a random nonce, which is given back; the tag comes last.
pub(crate) fn seal(
    key: &[u8; KEY_BYTES],
    context: &[u8],
    message: &mut Vec<u8>,
) -> Result<[u8; NONCE_BYTES], Unspecified> {
    let mut nonce = [0; NONCE_BYTES];
    rand::fill(&mut nonce)?;
    let (key, short) = derive(key, &nonce)?;
    key.seal_in_place_append_tag(short, Aad::from(context), message)?;
    Ok(nonce)
}

/// Decrypts in place what [`seal`] gave, and gives the message at its beginning.
pub(crate) fn open<'a>(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    context: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], Unspecified> {
    let (key, short) = derive(key, nonce)?;
    key.open_in_place(short, Aad::from(context), sealed)
}

/// The key of one message, and its nonce.
fn derive(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES]) -> Result<(LessSafeKey, Nonce), Unspecified> {
    let blocks = EncryptingKey::ecb(UnboundCipherKey::new(&cipher::AES_256, key)?)?;
    let mut subkey = Zeroizing::new([0; BLOCK_BYTES]);
    blocks.encrypt(&mut *subkey)?;
    let is_high = subkey[0] >> 7;
    let mut carry = 0;
    for byte in subkey.iter_mut().rev() {
        (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
    }
    subkey[BLOCK_BYTES - 1] ^= 0x87 * is_high;

    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    for (counter, block) in (1..).zip(derived.chunks_exact_mut(BLOCK_BYTES)) {
        block[..4].copy_from_slice(&[0, counter, b'X', 0]);
        block[4..].copy_from_slice(&nonce[..12]);
        block.iter_mut().zip(subkey.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }
    blocks.encrypt(&mut *derived)?;
    let key = LessSafeKey::new(UnboundKey::new(&aead::AES_256_GCM, &*derived)?);
    Ok((key, Nonce::try_assume_unique_for_key(&nonce[12..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that the specification ends with.
    #[test]
    fn it_gives_what_the_specification_says() {
        let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
        for (key, context, sealed) in [
            (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let mut message = b"XAES-256-GCM".to_vec();
            let (derived, short) = derive(&[key; KEY_BYTES], &nonce).unwrap();
            derived.seal_in_place_append_tag(short, Aad::from(context.as_bytes()), &mut message).unwrap();
            assert_eq!(hex::encode(&message), sealed);
            let opened = open(&[key; KEY_BYTES], &nonce, context.as_bytes(), &mut message).unwrap();
            assert_eq!(opened, b"XAES-256-GCM");
        }
    }

    #[test]
    fn no_two_messages_are_sealed_alike() {
        let seal = || {
            let mut message = b"the same".to_vec();
            let nonce = seal(&[7; KEY_BYTES], b"", &mut message).unwrap();
            (nonce, message)
        };
        let (one, other) = (seal(), seal());
        assert!(one.0 != other.0 && one.1 != other.1);
    }
}
