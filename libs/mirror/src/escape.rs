//! PostgreSQL has no U+0000 in its texts, and users of the suite may.

use std::borrow::Cow;

/// Stands before whatever is written otherwise than it is. A picture of U+0000, which nobody types.
const ESCAPE: char = '\u{2400}';

/// A text as PostgreSQL is given it: `␀0` in the place of U+0000, and `␀␀` in that of `␀`. So no two texts become one, which may
/// be keys, and all others are as they are.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return text.into();
    }
    text.replace(ESCAPE, "\u{2400}\u{2400}").replace('\0', "\u{2400}0").into()
}

/// The text that was given; `None`: nobody gave this one.
pub fn unescaped(text: &str) -> Option<String> {
    let mut read = String::with_capacity(text.len());
    let mut left = text.chars();
    while let Some(next) = left.next() {
        read.push(match next {
            ESCAPE => match left.next()? {
                '0' => '\0',
                ESCAPE => ESCAPE,
                _ => return None,
            },
            other => other,
        });
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_keeps_what_is_refused(text in "[a0\u{0}\u{2400}é]{0,12}") {
            let kept = escaped(&text);
            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(unescaped(&kept), Some(text));
        }
    }

    #[test]
    fn ordinary_texts_are_as_they_are() {
        assert!(matches!(escaped("Grüße, 世界"), Cow::Borrowed("Grüße, 世界")));
        assert_eq!(escaped("a\0b"), "a\u{2400}0b");
        assert_eq!(unescaped("\u{2400}1"), None);
    }
}
