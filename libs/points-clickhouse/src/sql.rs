//! Values as ClickHouse's SQL writes them. Parameters of its own came later than the servers that this understands.

use std::fmt::Write;

use cairn_points::Row;

/// A text between quotes.
pub(crate) fn text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '\0' => quoted.push_str("\\0"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A number, whatever its sign: the parser of literals takes the smallest one for a fraction.
pub(crate) fn int64(number: i64) -> String {
    format!("toInt64('{number}')")
}

/// A fraction, bit by bit: older servers read decimals only nearly right.
pub(crate) fn float64(number: f64) -> String {
    let hex = number.to_le_bytes().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02X}");
        hex
    });
    format!("reinterpretAsFloat64(unhex('{hex}'))")
}

/// Whatever comes after a point in the order of a history.
pub(crate) fn is_after(row: &Row) -> String {
    let (time, step) = (int64(row.time_ms), int64(row.step));
    let at_once = match row.value.is_nan() {
        true => String::new(),
        false => {
            let value = float64(row.value);
            format!(" OR (time = {time} AND step = {step} AND (isNaN(value) OR value > {value}))")
        }
    };
    format!("(time > {time} OR (time = {time} AND step > {step}){at_once})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_before_its_quote() {
        assert_eq!(text(r"x' OR 1=1 \"), r"'x\' OR 1=1 \\'");
        assert_eq!(text("tab\tline\nnull\0"), "'tab\tline\nnull\\0'");
    }

    #[test]
    fn fractions_are_written_bit_by_bit() {
        assert_eq!(float64(1.0), "reinterpretAsFloat64(unhex('000000000000F03F'))");
        assert_eq!(int64(i64::MIN), "toInt64('-9223372036854775808')");
    }
}
