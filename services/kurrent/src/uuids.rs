//! Ids as the protocol writes them: as text, or as two numbers.

use cairn_kurrent_protocol::shared;
use cairn_kurrent_protocol::shared::uuid::{Structured, Value};
use uuid::Uuid;

/// How a client wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Structured,
    Text,
}

/// An id in that form.
pub fn written(id: Uuid, form: Form) -> shared::Uuid {
    let value = match form {
        Form::Text => Value::String(id.to_string()),
        Form::Structured => {
            let (most, least) = id.as_u64_pair();
            Value::Structured(Structured {
                most_significant_bits: most.cast_signed(),
                least_significant_bits: least.cast_signed(),
            })
        }
    };
    shared::Uuid { value: Some(value) }
}

/// An id in either form; nothing if it is none.
pub fn read(id: Option<&shared::Uuid>) -> Option<Uuid> {
    match id?.value.as_ref()? {
        Value::String(text) => text.parse().ok(),
        Value::Structured(parts) => {
            let (most, least) = (parts.most_significant_bits, parts.least_significant_bits);
            Some(Uuid::from_u64_pair(most.cast_unsigned(), least.cast_unsigned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_in_both_forms() {
        let id = Uuid::from_u128(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef);
        for form in [Form::Structured, Form::Text] {
            assert_eq!(read(Some(&written(id, form))), Some(id));
        }
        assert_eq!(read(Some(&shared::Uuid { value: Some(Value::String("x".into())) })), None);
        assert_eq!(read(None), None);
    }
}
