use crate::{FILTER_BYTES_MAX, SearchFault};

/// A token and where it begins, in characters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Letters and what may stand in a bare key: also keywords.
    Word(String),
    /// In backticks: a key.
    Backticked(String),
    /// In double quotes: a key on the left, a text on the right.
    DoubleQuoted(String),
    /// In single quotes: a text.
    SingleQuoted(String),
    Number(f64),
    Operator(&'static str),
    Open,
    Close,
    Comma,
    End,
}

/// Cuts a filter into tokens. The last is always [`Kind::End`].
pub(crate) fn lex(text: &str) -> Result<Vec<Token>, SearchFault> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(SearchFault::filter(0, format!("more than {FILTER_BYTES_MAX} bytes")));
    }
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = vec![];
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let (kind, end) = match c {
            _ if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => (Kind::Open, at + 1),
            ')' => (Kind::Close, at + 1),
            ',' => (Kind::Comma, at + 1),
            '`' => quoted(&chars, at, Kind::Backticked)?,
            '"' => quoted(&chars, at, Kind::DoubleQuoted)?,
            '\'' => quoted(&chars, at, Kind::SingleQuoted)?,
            '=' | '!' | '<' | '>' => operator(&chars, at)?,
            '-' | '+' | '0'..='9' => number(&chars, at)?,
            _ if c.is_alphabetic() || c == '_' => word(&chars, at),
            _ => return Err(SearchFault::filter(at, format!("unexpected {c:?}"))),
        };
        tokens.push(Token { at, kind });
        at = end;
    }
    tokens.push(Token { at, kind: Kind::End });
    Ok(tokens)
}

/// A text up to the same quote. There are no escapes: a text with one sort of quote is written in the other.
fn quoted(chars: &[char], at: usize, kind: fn(String) -> Kind) -> Result<(Kind, usize), SearchFault> {
    let rest = &chars[at + 1..];
    match rest.iter().position(|c| *c == chars[at]) {
        Some(length) => Ok((kind(rest[..length].iter().collect()), at + length + 2)),
        None => Err(SearchFault::filter(at, format!("{} is not closed", chars[at]))),
    }
}

fn operator(chars: &[char], at: usize) -> Result<(Kind, usize), SearchFault> {
    let is_before_equals = chars.get(at + 1) == Some(&'=');
    let operator = match (chars[at], is_before_equals) {
        ('=', _) => return Ok((Kind::Operator("="), at + 1)),
        ('!', true) => "!=",
        ('<', true) => "<=",
        ('>', true) => ">=",
        ('<', false) => return Ok((Kind::Operator("<"), at + 1)),
        ('>', false) => return Ok((Kind::Operator(">"), at + 1)),
        _ => return Err(SearchFault::filter(at, "expected '=' after '!'")),
    };
    Ok((Kind::Operator(operator), at + 2))
}

fn number(chars: &[char], at: usize) -> Result<(Kind, usize), SearchFault> {
    let is_part = |(index, c): (usize, &char)| {
        c.is_ascii_alphanumeric()
            || *c == '.'
            || (matches!(c, '-' | '+') && (index == 0 || is_exponent(chars, at + index)))
    };
    let length = chars[at..].iter().enumerate().take_while(|item| is_part(*item)).count();
    let text: String = chars[at..at + length].iter().collect();
    match text.parse() {
        Ok(number) => Ok((Kind::Number(number), at + length)),
        Err(_) => Err(SearchFault::filter(at, format!("{text:?} is not a number; a text stands in quotes"))),
    }
}

/// Whether a sign at this place belongs to an exponent.
fn is_exponent(chars: &[char], at: usize) -> bool {
    at > 0 && matches!(chars[at - 1], 'e' | 'E')
}

/// A bare key may hold dots, dashes, slashes and colons, as keys do; a space needs backticks. A dot at its end stands
/// before a quoted key.
fn word(chars: &[char], at: usize) -> (Kind, usize) {
    let is_part = |c: &&char| c.is_alphanumeric() || "_-.:/".contains(**c);
    let length = chars[at..].iter().take_while(is_part).count();
    (Kind::Word(chars[at..at + length].iter().collect()), at + length)
}
