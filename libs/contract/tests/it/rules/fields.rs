use cairn_contract::{Declared, is_sensitive};
use prost_reflect::Kind;

use super::Report;
use super::surface::{Surface, TIMESTAMP, is_message};

/// Zero is `<ENUM>_UNSPECIFIED` and every value begins with the enum's name.
pub fn enums_start_at_unspecified(surface: &Surface<'_>, report: &mut Report) {
    for declared in surface.enums().filter(|declared| !surface.is_dialect(declared.package_name())) {
        let prefix = upper_snake(declared.name());
        for value in declared.values() {
            if value.number() == 0 && value.name() != format!("{prefix}_UNSPECIFIED") {
                report.add(&value, format!("zero must be {prefix}_UNSPECIFIED"));
            } else if !value.name().starts_with(&format!("{prefix}_")) {
                report.add(&value, format!("must begin with {prefix}_"));
            }
        }
    }
}

/// Moments are `Timestamp` named `*_time`, lengths of time are `Duration`. A packed column of an event is data, and may
/// be numbers.
pub fn times_are_timestamps(surface: &Surface<'_>, report: &mut Report) {
    const UNITS: &[&str] =
        &["days", "hours", "micros", "millis", "minutes", "ms", "nanos", "secs", "seconds", "ns", "us"];
    for field in surface.native_messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        if field.is_list() {
            continue;
        }
        let last = field.name().rsplit('_').next().unwrap_or_default();
        let is_named = matches!(last, "time" | "at" | "timestamp" | "date");
        let is_timestamp = is_message(&field, TIMESTAMP);
        let is_number = !matches!(field.kind(), Kind::Message(_) | Kind::Enum(_) | Kind::Bool);
        if is_timestamp && last != "time" {
            report.add(&field, "is a Timestamp, so it must be named *_time");
        } else if is_named && !is_timestamp {
            report.add(&field, "is a moment, so it must be a Timestamp named *_time");
        } else if is_number && UNITS.contains(&last) {
            report.add(&field, "is a length of time, so it must be a Duration, without a unit in its name");
        }
    }
}

/// JSON turns 64-bit numbers into strings, which surprises everybody. A field that needs them says so in its comment.
pub fn sixty_four_bits_have_a_reason(surface: &Surface<'_>, report: &mut Report) {
    for field in surface.public_messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let is_wide =
            matches!(field.kind(), Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64);
        if is_wide && !field.comment().contains("64") {
            report.add(&field, "is a string in JSON; use 32 bits, or say in its comment why it needs 64");
        }
    }
}

/// What nobody may read in a log is marked, so that the machine hides it. The cursor of a list is no secret.
pub fn sensitive_fields_are_marked(surface: &Surface<'_>, report: &mut Report) {
    const SENSITIVE: &[&str] = &["password", "secret", "token", "credential", "passphrase"];
    for field in surface.messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let last = field.name().rsplit('_').next().unwrap_or_default();
        let is_cursor = field.name().ends_with("page_token");
        // Its name is shown wherever a resource is; what it holds is not.
        let is_name = field.comment().contains("/secrets/{secret}");
        let is_text = matches!(field.kind(), Kind::String | Kind::Bytes);
        if is_text && !is_cursor && !is_name && SENSITIVE.contains(&last) && !is_sensitive(&field) {
            report.add(&field, "looks sensitive, so it must say [debug_redact = true]");
        }
    }
}

/// `RunStatus` as `RUN_STATUS`.
fn upper_snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}
