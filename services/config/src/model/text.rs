use cairn_kernel::newtype;

/// Most characters in a description or a reason.
pub const TEXT_CHARS_MAX: usize = 1_000;

newtype!(
    /// Words for people: at most 1,000 characters, without control characters other than line breaks and tabs.
    Text, "text (it is too long, or holds control characters)", |text| {
        let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
        text.chars().count() <= TEXT_CHARS_MAX && text.chars().all(is_plain)
    }
);
