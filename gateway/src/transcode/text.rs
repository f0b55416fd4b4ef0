use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::wire::{DELIMITED, VARINT, put_key, put_varint};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const WEB: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Base64 of either alphabet, padded or not.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) { WEB } else { PLAIN };
    engine.decode(text).ok()
}

/// Base64 as it is written.
pub fn base64(bytes: &[u8]) -> String {
    PLAIN.encode(bytes)
}

/// Years 1 to 9999, as protobuf allows and RFC 3339 can print.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The inside of a `google.protobuf.Timestamp`.
pub fn put_timestamp(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let stamp: prost_types::Timestamp = text.parse().ok()?;
    if !SECONDS.contains(&stamp.seconds) {
        return None;
    }
    put_seconds(out, stamp.seconds, stamp.nanos);
    Some(())
}

/// The inside of a `google.protobuf.Duration`.
pub fn put_duration(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let duration: prost_types::Duration = text.parse().ok()?;
    put_seconds(out, duration.seconds, duration.nanos);
    Some(())
}

fn put_seconds(out: &mut Vec<u8>, seconds: i64, nanos: i32) {
    for (number, value) in [(1, seconds), (2, i64::from(nanos))] {
        if value != 0 {
            put_key(out, number, VARINT);
            put_varint(out, value as u64);
        }
    }
}

/// The inside of a `google.protobuf.FieldMask`. Paths are written as fields are named in the contract; the camel case
/// of other JSON writers is understood.
pub fn put_field_mask(out: &mut Vec<u8>, text: &str) {
    for path in text.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        let mut snake = String::with_capacity(path.len() + 4);
        for letter in path.chars() {
            if letter.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        put_key(out, 1, DELIMITED);
        put_varint(out, snake.len() as u64);
        out.extend_from_slice(snake.as_bytes());
    }
}
